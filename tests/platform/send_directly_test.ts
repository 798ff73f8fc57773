import { assert, assertEquals, assertMatch } from "@std/assert";
import { sh } from "../support/sh.ts";
import { Nights, noise, sendTest } from "./send_night.ts";

/** What goes past the pump is not seen by us: it must be known all the same. */

sendTest(
  "what btrfs send writes to a store itself is counted to the byte",
  async (site, nights) => {
    await site.subvolume("btrfs/data/nested");
    site.write("btrfs/data/nested/file", noise(20_000));
    site.write("btrfs/data/large", noise(3_000_000));
    const pumped = new Nights(site, "store/pumped", { bandwidthLimit: "1G" });
    for (let night = 0; night < 2; night++) {
      site.write("btrfs/data/small", noise(100_000));
      await nights.runWell();
      await pumped.runWell();
      assertEquals(nights.bytes, pumped.bytes);
      assert(nights.bytes > (night === 0 ? 3_120_000 : 100_000), `${nights.bytes}`);
      assert(nights.bytes < (night === 0 ? 3_200_000 : 110_000), `${nights.bytes}`);
    }
  },
);

sendTest("a storage that ends in the middle of a stream says why", async (site, nights) => {
  site.write("btrfs/data/large", noise(8_000_000));
  const burning = "head -c 1000000 >/dev/null; echo ERROR: the disk is on fire >&2; exit 1";
  site.fake("btrfs", `case "$*" in *receive\\ -C*) ${burning} ;; *) exec "$real" "$@" ;; esac`);
  const { code, lastLine } = await nights.run({}, { retries: 0 });
  assertEquals(code, 1, lastLine);
  assertMatch(lastLine, /the disk is on fire/);
  assertEquals(nights.archives, []);
  await sh("rm", site.at("bin/btrfs"));
  await nights.runWell();
});

sendTest("row 53: a name that speaks of a broken pipe misleads nobody", async (site, nights) => {
  const mark = "Broken pipe, write error";
  await site.subvolume("btrfs/data/user");
  site.write(`btrfs/data/user/${mark}`, noise(20_000));
  site.fake(
    "btrfs",
    `for last; do :; done; if [ "$1" = send ] && [ -e "$last/${mark}" ]; then ` +
      `echo "ERROR: cannot send ${mark}" >&2; exit 1; fi; exec "$real" "$@"`,
  );
  const { code, lastLine, stderr } = await nights.run();
  assertEquals(code, 3, stderr);
  assertMatch(lastLine, /data\/user is left out: .*cannot send Broken/);
  assertEquals(nights.records().map(({ path }) => path), [site.at("btrfs/data")]);
});
