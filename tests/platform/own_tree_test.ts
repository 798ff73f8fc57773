import { assertEquals, assertMatch } from "@std/assert";
import { namesIn } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site, snapshotsOf } from "../support/site.ts";

/** What a user's own tree may look like: the others get their backup. */

/** A folder within another one, at a path so many times 201 bytes longer. */
function makeDeep(site: Site, name: string, times: number): string {
  return site.makeFolder(`${name}${`/${"d".repeat(200)}`.repeat(times)}`);
}

/** Move a subvolume with another one in it to where btrfs can tell no path of it. */
async function hideSubvolume(site: Site, parent: string): Promise<void> {
  const upper = makeDeep(site, `${parent}/upper`, 10);
  const lower = makeDeep(site, `${parent}/lower`, 11);
  await sh("btrfs", "-q", "subvolume", "create", `${lower}/hidden`);
  await sh("btrfs", "-q", "subvolume", "create", `${lower}/hidden/inner`);
  await Deno.rename(site.at(`${parent}/lower`), `${upper}/lower`);
  await sh("btrfs", "filesystem", "sync", site.at(parent));
}

const item = (id: number) =>
  `\n\titem 99 key (${id} ROOT_ITEM 0) itemoff 1 itemsize 439\n\t\tgeneration 9 root_dirid 256\n` +
  "\t\tuuid 11111111-1111-1111-1111-111111111111\n";

btrfsTest("row 53: a subvolume at too deep a place is named, and left out alone", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  // Its name looks like an item of the tree of roots; it has letters of several bytes.
  const odd = `btrfs/data/ää${item(256)}`;
  await site.subvolume(odd);
  site.write(`${odd}/file`);
  await hideSubvolume(site, "btrfs/data");
  const words =
    /somewhere in \S+\/btrfs\/data subvolumes are left out, .* too long\): ids 258; look/;

  const { code, stderr } = await site.backUp(["btrfs/data"]);
  assertEquals(code, 3, stderr);
  assertMatch(stderr, words);
  assertEquals(namesIn(site.at("btrfs")), ["data"]);
  const members = await site.members();
  assertEquals(members.filter((name) => /item 99 .*\/file$/.test(name)).length, 1, `${members}`);

  // What lies elsewhere on the filesystem is no matter.
  await site.subvolume("btrfs/other");
  site.write("btrfs/other/file");
  await site.addBtrfs("store");
  const send = { strategy: "btrfs-send", remoteFolder: site.addStorage("store/backups") };
  for (const more of [{}, send, send]) {
    const { code, stderr } = await site.backUp(["btrfs/other"], more);
    assertEquals(code, 0, stderr);
  }
  assertEquals(snapshotsOf(site).length, 1);
  const checked = await plasma(["check", "--config", site.config(["btrfs/data"], send)]);
  assertMatch(checked.stdout + checked.stderr, words);

  const found = /look for it by: (find .*) -print; with (-execdir .*) at its end/.exec(
    (await site.backUp(["btrfs/data"])).stderr,
  )!;
  await sh("sh", "-c", `${found[1]} ${found[2]}`);
  assertEquals((await site.backUp(["btrfs/data"])).code, 0);
});
