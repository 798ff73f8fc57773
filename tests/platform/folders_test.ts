import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn } from "../support/folders.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

/** A subvolume that is mounted, one nested in it, files and links. */
async function makeTree(site: Site): Promise<void> {
  await site.subvolume("btrfs/srv/data");
  site.write("btrfs/srv/data/file");
  site.write("btrfs/srv/data/folder/file");
  await site.subvolume("btrfs/srv/data/folder/nested");
  site.write("btrfs/srv/data/folder/nested/file");
  Deno.symlinkSync("data", site.at("btrfs/srv/relative"));
  Deno.symlinkSync(site.at("btrfs/srv/data"), site.at("btrfs/srv/absolute"));
  Deno.symlinkSync("btrfs/srv/data", site.at("outer"));
  Deno.symlinkSync("../../mounted", site.at("btrfs/srv/far"));
  site.write("btrfs/srv/file");
  await site.mountSubvolume("mounted", "srv/data");
}

/** Folders, as they may be configured. */
const choices: Readonly<Record<string, readonly string[]>> = {
  "a folder": ["btrfs/srv/data/folder"],
  "a file": ["btrfs/srv/data/folder/file"],
  "a file and the folder beside it": ["btrfs/srv/data/file", "btrfs/srv/data/folder"],
  "the root of a subvolume": ["btrfs/srv/data"],
  "the root of a nested subvolume": ["btrfs/srv/data/folder/nested"],
  "a mount point": ["mounted"],
  "a folder of a mount": ["mounted/folder"],
  "the top of the filesystem": ["btrfs"],
  "a link to a folder": ["btrfs/srv/relative"],
  "a folder behind a relative link": ["btrfs/srv/relative/folder"],
  "a folder behind an absolute link": ["btrfs/srv/absolute/folder"],
  "a folder behind a link elsewhere": ["outer/folder"],
  "a nested subvolume behind a link": ["outer/folder/nested"],
  "a file behind a link": ["outer/folder/file"],
  "a folder behind a link, and the link": ["btrfs/srv/relative/folder", "btrfs/srv/relative"],
  "a folder behind a relative link, and one beside the link": [
    "btrfs/srv/relative/folder",
    "btrfs/srv/file",
  ],
  "a folder behind an absolute link, and one beside the link": [
    "btrfs/srv/absolute/folder",
    "btrfs/srv/file",
  ],
  "a folder behind a link elsewhere, and one beside the link": [
    "btrfs/srv/far/folder",
    "btrfs/srv/file",
  ],
  "one within another": ["btrfs/srv/data/folder", "btrfs/srv", "btrfs/srv/data/folder/nested"],
  "one twice": ["mounted", "mounted"],
  "the same at two places": ["mounted/folder", "btrfs/srv/data/folder"],
  "a folder with a slash at its end": ["btrfs/srv/data/"],
  "a mount point with a slash at its end": ["mounted/"],
  "a folder with doubled slashes and dots": ["btrfs//srv/./data/folder/."],
};

btrfsTest("the archive has the members that strategy tar has", async (site) => {
  await makeTree(site);
  const faults = [];
  for (const [what, folders] of Object.entries(choices)) {
    const expected = await membersWith(site, folders, "tar");
    const found = await membersWith(site, folders, "btrfs-snapshot");
    assertMatch(expected, /file|->/);
    if (found !== expected) faults.push(`${what}: expected\n${expected}\nbut found\n${found}\n`);
  }
  assertEquals(faults, [], faults.join("\n"));
  await site.assertNothingLeft();
});

let storages = 0;

async function membersWith(site: Site, folders: readonly string[], strategy: string) {
  // A storage folder of its own: a second archive within a second would have to wait.
  const remoteFolder = site.addStorage(`storage${storages++}`);
  const { code, stdout, stderr } = await site.backUp(folders, { strategy, remoteFolder });
  return code === 0 ? (await listing(`${remoteFolder}/${stdout.trimEnd()}`)).join("\n") : stderr;
}

/** The members with type, mode, owner, size and target, and the time of what is not a folder. */
async function listing(archive: string): Promise<string[]> {
  const args = ["--verbose", "--full-time", "--numeric-owner", "--quoting-style=escape"];
  const text = await sh("tar", "--list", ...args, "--file", archive);
  return text.trimEnd().split("\n")
    // A folder that holds snapshots for a while has the time at which it did.
    .map((line) => line.replace(line.startsWith("d") ? / \d{4}-\S+ \S+ +/ : / +/g, " ")).sort();
}

btrfsTest(
  "a file, a fifo and a device are archived from the snapshot as what they are",
  async (site) => {
    await site.subvolume("btrfs/data");
    await sh("mkfifo", site.at("btrfs/data/fifo"));
    await sh("mknod", site.at("btrfs/data/null"), "c", "1", "3");
    await sh("truncate", "-s", "100M", site.at("btrfs/data/sparse"));
    site.write("btrfs/data/linked");
    Deno.linkSync(site.at("btrfs/data/linked"), site.at("btrfs/data/to"));
    await site.backUpWell(["btrfs/data"]);
    assertEquals(Deno.statSync(site.archive).size < 1 << 20, true);
    const twin = await site.restore();
    const types = await sh(
      "stat",
      "-c",
      "%F %h",
      ...["fifo", "null", "sparse", "linked"]
        .map((name) => site.at(`${twin}/btrfs/data/${name}`)),
    );
    assertEquals(types, "fifo 1\ncharacter special file 1\nregular file 1\nregular file 2\n");
  },
);

btrfsTest("row 5: missing folders fail the run before a snapshot, all named", async (site) => {
  site.write("btrfs/data/file");
  const folders = ["btrfs/data", "btrfs/missing", "nowhere/at/all", "image0/below"];
  const { code, lastLine } = await site.backUp(folders);
  assertEquals([code, archivesIn(site.storage)], [1, []]);
  for (const name of folders.slice(1)) assertStringIncludes(lastLine, site.at(name));
  await site.assertNothingLeft();
});

btrfsTest("the storage folder and the tempfile are left out of the archive", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  await site.subvolume("btrfs/data/backup");
  const storage = site.at("btrfs/data/backup/storage");
  site.write("btrfs/data/backup/storage/plasma-rotate.json", '{"policy": {"daily": 9}}');
  Deno.symlinkSync(".", site.at("btrfs/link"));
  await site.bind("btrfs/data", "bound");
  const expected = ["", "/backup", "/file"];
  for (
    const [top, place] of [
      ["btrfs/data", "btrfs/data"],
      ["btrfs/data", "btrfs/link/data"],
      ["btrfs/link/data", "btrfs/data"],
      ["bound", "btrfs/data"],
    ]
  ) {
    const { code, stderr } = await site.backUp([top!], {
      remoteFolder: site.at(`${place}/backup/storage`),
      tempfile: site.at(`${place}/backup/staged`),
    });
    assertEquals(code, 0, stderr);
    const archive = `${storage}/${archivesIn(storage).at(-1)}`;
    const names = (await sh("tar", "-tf", archive)).trimEnd().split("\n")
      .map((name) => name.replace(/\/$/, "").replace(site.at(top!).slice(1), ""));
    assertEquals([top, place, names.sort()], [top, place, expected]);
  }
});

btrfsTest("exclude patterns reach into nested subvolumes", async (site) => {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/nested");
  await site.subvolume("btrfs/data/nested/cache");
  for (const folder of ["btrfs/data", "btrfs/data/nested", "btrfs/data/nested/cache"]) {
    for (const name of ["file", "a.tmp", "deep/a.tmp", "deep/skip/file"]) {
      site.write(`${folder}/${name}`);
    }
  }
  const exclude = [
    "*.tmp",
    site.at("btrfs/data/nested/cache"),
    site.at("btrfs/data/nested/deep/s*/"),
  ];
  await site.backUpWell(["btrfs/data"], { exclude });
  const members = await site.members();
  assertEquals(members, [
    "btrfs/data",
    "btrfs/data/deep",
    "btrfs/data/deep/skip",
    "btrfs/data/deep/skip/file",
    "btrfs/data/file",
    "btrfs/data/nested",
    "btrfs/data/nested/deep",
    "btrfs/data/nested/file",
  ]);
  await site.backUp(["btrfs/data"], { exclude, strategy: "tar" });
  assertEquals(await site.members(), members);
});
