import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { PlasmaError } from "../../src/errors.ts";
import { DiskSync } from "../../src/stores/disk_sync.ts";
import { fromRoot, namesIn } from "../support/folders.ts";
import { sh, tryRun } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { Nights, noise, sendTest } from "./send_night.ts";

/** What does not fit into a {@link makeLossy}. */
const tooMuch = 130_000_000;

/**
 * A btrfs on a disk that has less room than it says: it loses what is written to files, and all that it
 * needs itself has been given room before.
 */
async function makeLossy(site: Site, name: string): Promise<string> {
  const disk = await site.mount(`${name}-disk`, "-t", "tmpfs", "-o", "size=110m", "plasma-test");
  const image = `${disk}/image`;
  await sh("truncate", "-s", "2G", image);
  await sh("mkfs.btrfs", "-q", "-m", "single", image);
  await sh("fallocate", "-l", "60M", image);
  const path = await site.mount(name, "-o", "loop", image);
  // Or btrfs may give the 38 MiB after its first chunks to either, and nothing would be lost.
  await sh("fallocate", "-l", "20M", `${path}/room`);
  await sh("sync", "-f", path);
  await sh("rm", `${path}/room`);
  await sh("fallocate", "-o", "229M", "-l", "4M", image);
  return path;
}

sendTest(
  "row 33: an archive is not acknowledged of which the disk has lost a part",
  async (site) => {
    await makeLossy(site, "lossy");
    const nights = new Nights(site, "lossy/backups");
    await nights.runWell();
    const { archives } = nights;
    site.write("btrfs/data/large", noise(tooMuch));
    const { code, lastLine } = await nights.run({}, { retries: 1, retryDelay: "1s" });
    assertEquals(code, 1, lastLine);
    assertMatch(lastLine, /the disk of \S+ has not taken all that was received: /);
    assertEquals(nights.archives, archives);
    assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
    Deno.removeSync(site.at("btrfs/data/large"));
    await nights.runWell();
  },
);

sendTest("row 33: compressed extents that the disk has lost are noticed too", async (site) => {
  await makeLossy(site, "lossy");
  await sh("mount", "-o", "remount,compress-force=zstd:1", site.at("btrfs"));
  const nights = new Nights(site, "lossy/backups");
  const block = new Uint8Array(128 << 10);
  const file = Deno.openSync(site.at("btrfs/data/large"), { create: true, append: true });
  for (let size = 0; size < tooMuch; size += block.length / 2) {
    block.set(noise(block.length / 2));
    file.writeSync(block);
  }
  file.close();
  const { code, lastLine } = await nights.run();
  assertEquals(code, 1, lastLine);
  assertMatch(lastLine, /has not taken all that was received: /);
  assertEquals(nights.archives, []);
});

btrfsTest("row 33: a loss is known that another program was told before", async (site) => {
  const path = await makeLossy(site, "lossy");
  await using disk = await DiskSync.open(path);
  Deno.writeFileSync(`${path}/file`, noise(tooMuch));
  assertMatch((await tryRun("sync", "-f", path)).stderr, /no space left/i);
  assertEquals((await tryRun("sync", "-f", path)).code, 0, "the kernel says nothing any more");
  const error = await assertRejects(() => disk.finish(), PlasmaError);
  assertMatch(error.message, /not taken all that was received: no space left/i);
  await using later = await DiskSync.open(path);
  await later.finish();
});

btrfsTest("row 33: without perl a loss is known that nobody was told", async (site) => {
  const path = await makeLossy(site, "lossy");
  for (const name of ["sh", "sync"]) {
    await sh("ln", "-s", `/usr/bin/${name}`, `${site.makeFolder("few")}/${name}`);
  }
  const script = site.write(
    "script.ts",
    `import { DiskSync } from "${fromRoot("src/stores/disk_sync.ts")}";
const disk = await DiskSync.open("${path}");
Deno.copyFileSync("${site.write("noise", noise(tooMuch))}", "${path}/file");
await disk.finish().catch((error) => {
  console.log(error.message);
  Deno.exitCode = 9;
});
`,
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-q", "--config", fromRoot("deno.json"), script],
    env: { PATH: site.at("few"), NO_COLOR: "1" },
  }).output();
  const words = new TextDecoder();
  assertEquals(code, 9, words.decode(stderr));
  assertMatch(words.decode(stdout), /no space left/i);
});

sendTest("what is received is brought to the disk while more comes", async (site, nights) => {
  site.write("btrfs/data/large", noise(160_000_000));
  const seen = site.at("seen");
  const incoming = `${nights.storage}/.plasma/incoming`;
  const note = `case "$*" in "filesystem sync ${incoming}/"*) echo >>${seen} ;; esac`;
  site.fake("btrfs", `${note}; exec "$real" "$@"`);
  await nights.runWell({ bandwidthLimit: "30M" });
  assert(Deno.statSync(seen).size >= 1);
});
