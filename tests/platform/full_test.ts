import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn } from "../support/folders.ts";
import { assertNothingLeft } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest } from "../support/site.ts";
import { assertAllVerify, fingerprints } from "../support/storage.ts";

btrfsTest(
  "row 31: a storage over its quota fails the run and keeps what is there",
  async (site) => {
    await sh("btrfs", "quota", "enable", site.at("btrfs"));
    await site.subvolume("btrfs/storage");
    const storage = site.addStorage("btrfs/storage");
    site.write("data/file");
    const more = { strategy: "tar", remoteFolder: storage };
    assertEquals((await site.backUp(["data"], more)).code, 0);
    const before = await fingerprints(storage);

    await sh("btrfs", "qgroup", "limit", "4M", storage);
    site.write("data/large", crypto.getRandomValues(new Uint8Array(60_000)));
    await sh(
      "sh",
      "-c",
      'for n in $(seq 8); do head -c 1M /dev/urandom; done >"$0"',
      site.at("data/large"),
    );
    const { code, stderr, lastLine } = await site.backUp(["data"], more);
    assertEquals(code, 1, stderr);
    assertMatch(lastLine, /the disk quota is used up/);
    assertEquals(await fingerprints(storage), before);
    await assertNothingLeft(storage);

    Deno.removeSync(site.at("data/large"));
    const next = await site.backUp(["data"], more);
    assertEquals(next.code, 0, next.stderr);
    await assertAllVerify(storage);
  },
);

btrfsTest(
  "row 18: a filesystem with no space for metadata fails the run, with the cause",
  async (site) => {
    await site.addBtrfs("full", { megabytes: 114, flags: ["--mixed"] });
    const data = await site.subvolume("full/data");
    site.write("full/data/file");
    const fill =
      'cd "$0"; for size in 1M 64k 4k 1k; do n=0; while head -c $size /dev/urandom >$size-$n; do n=$((n + 1)); done; done 2>/dev/null; true';
    await sh("sh", "-c", fill, data);
    await sh("sync", "-f", data);
    const { code, stderr, lastLine } = await site.backUp(["full/data"]);
    assertEquals([code, archivesIn(site.storage)], [1, []], stderr);
    assertMatch(lastLine, /snapshot: .*space/i);
    await site.assertNothingLeft();
  },
);
