import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { btrfsTest } from "../support/site.ts";

/** Hooks that cancel the backup, and what is said of them. */
const hooks = {
  "fails": ["exit 7", /exited with status 7/],
  "hangs": ["tail -f /dev/null", /took longer than 1 s/],
} as const;

for (const [what, [hook, message]] of Object.entries(hooks)) {
  btrfsTest(`row 14: no snapshot is taken when executeBefore ${what}`, async (site) => {
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file");
    const log = site.at("snapshots");
    site.fake("btrfs", `case "$*" in *snapshot*) echo "$*" >>${log} ;; esac; exec "$real" "$@"`);
    const more = { executeBefore: [hook], hookTimeout: "1s" };
    const { code, lastLine } = await site.backUp(["btrfs/data"], more);
    assertEquals([code, archivesIn(site.storage)], [1, []], lastLine);
    assertMatch(lastLine, message);
    assertEquals(namesIn(site.path).includes("snapshots"), false);
    await site.assertNothingLeft();
    // The fake btrfs sees the snapshots that are taken.
    await site.backUpWell(["btrfs/data"]);
    assertEquals(namesIn(site.path).includes("snapshots"), true);
  });
}
