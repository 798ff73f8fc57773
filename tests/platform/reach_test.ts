import { assertEquals, assertMatch } from "@std/assert";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

/** The paths that a dry run says it will snapshot, relative to the site. */
async function snapshotPaths(site: Site, folders: readonly string[]): Promise<string[]> {
  const { folders: covered } = await site.coverage(folders);
  return covered.flatMap(({ snapshots }) => snapshots)
    .map(({ path }) => path.slice(site.path.length + 1)).sort();
}

btrfsTest("row 19: nested subvolumes are archived with their files, also twice", async (site) => {
  await site.subvolume("btrfs/srv/data");
  site.write("btrfs/srv/data/file");
  await site.subvolume("btrfs/srv/data/nested");
  site.write("btrfs/srv/data/nested/file");
  await site.subvolume("btrfs/srv/data/nested/folder/twice");
  site.write("btrfs/srv/data/nested/folder/twice/file");
  await site.subvolume("btrfs/srv/other");
  site.write("btrfs/srv/other/file");

  assertEquals(await snapshotPaths(site, ["btrfs/srv/data"]), [
    "btrfs/srv/data",
    "btrfs/srv/data/nested",
    "btrfs/srv/data/nested/folder/twice",
  ]);
  await site.backUpWell(["btrfs/srv/data"]);
  assertEquals(await site.members(), [
    "btrfs/srv/data",
    "btrfs/srv/data/file",
    "btrfs/srv/data/nested",
    "btrfs/srv/data/nested/file",
    "btrfs/srv/data/nested/folder",
    "btrfs/srv/data/nested/folder/twice",
    "btrfs/srv/data/nested/folder/twice/file",
  ]);
  const twin = await site.restore();
  for (const name of ["file", "nested/file", "nested/folder/twice/file"]) {
    const path = `btrfs/srv/data/${name}`;
    assertEquals(site.read(`${twin}/${path}`), `content of ${path}`);
  }
});

btrfsTest("row 19: several filesystems are archived, one mounted in another", async (site) => {
  await site.addBtrfs("btrfs/inner");
  await site.addBtrfs("second");
  for (const name of ["btrfs", "btrfs/inner", "second"]) {
    site.write(`${name}/file`);
    await site.subvolume(`${name}/nested`);
    site.write(`${name}/nested/file`);
  }
  await site.backUpWell(["btrfs", "second"]);
  assertEquals(await site.members(), [
    "btrfs",
    "btrfs/file",
    "btrfs/inner",
    "btrfs/inner/file",
    "btrfs/inner/nested",
    "btrfs/inner/nested/file",
    "btrfs/nested",
    "btrfs/nested/file",
    "second",
    "second/file",
    "second/nested",
    "second/nested/file",
  ]);
});

btrfsTest(
  "subvolumes that are mounted by themselves are frozen where they are seen",
  async (site) => {
    await site.subvolume("btrfs/@");
    await site.subvolume("btrfs/@home");
    await site.subvolume("btrfs/@home/alice");
    for (const name of ["@", "@home", "@home/alice"]) site.write(`btrfs/${name}/file`);
    await site.mountSubvolume("root", "@");
    await site.mountSubvolume("root/home", "@home");

    assertEquals(await snapshotPaths(site, ["root"]), ["root", "root/home", "root/home/alice"]);
    await site.backUpWell(["root"]);
    assertEquals(await site.members(), [
      "root",
      "root/file",
      "root/home",
      "root/home/alice",
      "root/home/alice/file",
      "root/home/file",
    ]);
    const twin = await site.restore();
    assertEquals(site.read(`${twin}/root/home/alice/file`), "content of btrfs/@home/alice/file");
  },
);

btrfsTest("a subvolume that is mounted twice is frozen once and archived twice", async (site) => {
  await site.subvolume("btrfs/a");
  site.write("btrfs/a/file");
  await site.mountSubvolume("twice/first", "a");
  await site.mountSubvolume("twice/second", "a");
  await site.mountSubvolume("btrfs/again", "a");
  site.fake(
    "btrfs",
    `case $* in *"subvolume snapshot"*) echo >>${site.at("taken")}; esac
exec "$real" "$@"`,
  );
  const { stderr } = await site.backUpWell(["twice/first", "twice/second", "btrfs"]);
  assertEquals(await site.members(), [
    "btrfs",
    "btrfs/a",
    "btrfs/a/file",
    "btrfs/again",
    "btrfs/again/file",
    "twice/first",
    "twice/first/file",
    "twice/second",
    "twice/second/file",
  ], stderr);
  assertEquals(site.read("taken").length, 2, "one snapshot of the top and one of a");
});

btrfsTest("row 19: bind mounts of folders and files are archived as seen", async (site) => {
  await site.subvolume("btrfs/other");
  site.write("btrfs/other/deep/file");
  await site.subvolume("btrfs/other/deep/nested");
  site.write("btrfs/other/deep/nested/file");
  site.write("btrfs/data/file");
  site.write("btrfs/data/single", "what the mount hides");
  site.write("outside/file");
  await site.bind("btrfs/other/deep", "btrfs/data/bound");
  await site.bind("outside", "btrfs/data/outside");
  await sh("mount", "--bind", site.at("btrfs/other/deep/file"), site.at("btrfs/data/single"));

  await site.backUpWell(["btrfs/data"]);
  assertEquals(await site.members(), [
    "btrfs/data",
    "btrfs/data/bound",
    "btrfs/data/bound/file",
    "btrfs/data/bound/nested",
    "btrfs/data/bound/nested/file",
    "btrfs/data/file",
    "btrfs/data/outside",
    "btrfs/data/outside/file",
    "btrfs/data/single",
  ]);
  const twin = await site.restore();
  assertEquals(site.read(`${twin}/btrfs/data/single`), "content of btrfs/other/deep/file");
  const { folders: [covered] } = await site.coverage(["btrfs/data"]);
  assertEquals(covered!.live.map(({ path }) => path), [site.at("btrfs/data/outside")]);
});

btrfsTest("what a mount hides is not archived, what it shows is", async (site) => {
  await site.subvolume("btrfs/data/hidden/nested");
  site.write("btrfs/data/hidden/nested/invisible");
  await site.subvolume("btrfs/shown");
  site.write("btrfs/shown/file");
  await site.mountSubvolume("btrfs/data/hidden/deep", "shown"); // hidden by the next
  await site.mountSubvolume("btrfs/data/hidden", "shown");

  assertEquals(await snapshotPaths(site, ["btrfs/data"]), ["btrfs", "btrfs/data/hidden"]);
  await site.backUpWell(["btrfs/data"]);
  assertEquals(await site.members(), [
    "btrfs/data",
    "btrfs/data/hidden",
    "btrfs/data/hidden/file",
  ]);
});

btrfsTest("mounts that are stacked on each other and hidden together stay hidden", async (site) => {
  await site.tmpfs("btrfs/data/place/stacked");
  await site.tmpfs("btrfs/data/place/stacked");
  site.write("btrfs/data/place/stacked/invisible");
  await site.subvolume("btrfs/shown/stacked");
  site.write("btrfs/shown/stacked/file");
  await site.bind("btrfs/shown", "btrfs/data/place");

  await site.backUpWell(["btrfs/data"]);
  assertEquals(await site.members(), [
    "btrfs/data",
    "btrfs/data/place",
    "btrfs/data/place/stacked",
    "btrfs/data/place/stacked/file",
  ]);
  const { folders: [covered] } = await site.coverage(["btrfs/data"]);
  assertEquals(covered!.live, []);
});

btrfsTest(
  "read-only subvolumes are archived as they are, and what is nested in them",
  async (site) => {
    await site.subvolume("btrfs/data/readonly");
    site.write("btrfs/data/readonly/file");
    await site.subvolume("btrfs/data/readonly/writable");
    site.write("btrfs/data/readonly/writable/file");
    await site.makeReadOnly("btrfs/data/readonly");
    const { folders: [covered] } = await site.coverage(["btrfs/data"]);
    const place = covered!.snapshots.find(({ path }) => path === site.at("btrfs/data/readonly"));
    assertMatch(place!.reason, /read-only already/);
    await site.backUpWell(["btrfs/data"]);
    assertEquals(await site.members(), [
      "btrfs/data",
      "btrfs/data/readonly",
      "btrfs/data/readonly/file",
      "btrfs/data/readonly/writable",
      "btrfs/data/readonly/writable/file",
    ]);
  },
);
