import { assert, assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

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
  await site.subvolume("btrfs/data/user");
  await hideSubvolume(site, "btrfs/data/user");
  const words =
    /somewhere in \S+\/data\/user subvolumes are left out, .* too long\): ids 259; look/;

  const { code, stderr } = await site.backUp(["btrfs/data"]);
  assertEquals(code, 3, stderr);
  assertMatch(stderr, words);
  assertEquals(namesIn(site.at("btrfs")), ["data"]);
  const members = await site.members();
  assertEquals(members.filter((name) => /item 99 .*\/file$/.test(name)).length, 1, `${members}`);

  await site.addBtrfs("store");
  const send = { strategy: "btrfs-send", remoteFolder: site.addStorage("store/backups") };
  for (let night = 0; night < 2; night++) {
    const { code, stderr } = await site.backUp(["btrfs/data"], send);
    assertEquals(code, 3, stderr);
    assertMatch(stderr, words);
  }
  const checked = await plasma(["check", "--config", site.config(["btrfs/data"], send)]);
  assertMatch(checked.stdout + checked.stderr, words);

  // What lies elsewhere on the filesystem is no matter.
  await site.subvolume("btrfs/other");
  site.write("btrfs/other/file");
  assertEquals((await site.backUp(["btrfs/other"])).code, 0);

  const found = /look for it by: (find .*) -print; with (-execdir .*) at its end/.exec(
    (await site.backUp(["btrfs/data"])).stderr,
  )!;
  await sh("sh", "-c", `${found[1]} ${found[2]}`);
  assertEquals((await site.backUp(["btrfs/data"])).code, 0);
});

btrfsTest("row 53: of more subvolumes than an archive holds some are left out", async (site) => {
  await site.addBtrfs("btrfs/large", { megabytes: 1024 });
  await site.subvolume("btrfs/large/user/many");
  // BTRFS_IOC_SUBVOL_CREATE
  const make = "import fcntl, os, struct, sys; fd = os.open(sys.argv[1], os.O_RDONLY)\n" +
    "for i in range(10000): fcntl.ioctl(fd, 0x5000940e, " +
    "bytearray(struct.pack('q', 0) + (f's{i}'.encode()).ljust(4088, b'\\0')))";
  await sh("python3", "-c", make, site.at("btrfs/large/user/many"));
  await site.subvolume("btrfs/large/young/other");
  const { folders: [large], problems } = await site.coverage(["btrfs/large"], {
    strategy: "btrfs-send",
  });
  assertEquals(large!.snapshots.length, 10_000);
  assertEquals(large!.snapshots.some(({ path }) => path.endsWith("/young/other")), true);
  assertEquals(problems.length, 1);
  assertMatch(
    problems[0]!,
    /3 subvolumes are left out, .* 10000, whose paths .* 8 MiB: 3 in \S+\/user\/many; delete/,
  );
}, ["program python3"]);

btrfsTest("row 53: a subvolume with too long a path for an archive is left out", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  const upper = makeDeep(site, "btrfs/data/user", 9);
  await site.subvolume("btrfs/data/user/middle");
  const lower = makeDeep(site, "btrfs/data/user/middle", 10);
  // From the top level of the filesystem its path is short enough.
  const name = "n".repeat(4097 - `${upper}/middle/`.length - 10 * 201);
  await sh("btrfs", "-q", "subvolume", "create", `${lower}/${name}`);
  await Deno.rename(site.at("btrfs/data/user/middle"), `${upper}/middle`);
  await site.addBtrfs("store");
  const remoteFolder = site.addStorage("store/backups");
  const { code, stderr } = await site.backUp(["btrfs/data"], {
    strategy: "btrfs-send",
    remoteFolder,
  });
  assertEquals(code, 3, stderr);
  assertMatch(stderr, /is left out: its path takes more than 4096 bytes in a manifest/);
});

btrfsTest("row 53: received uuids that are set at the moment of the snapshot", async (site) => {
  await site.subvolume("btrfs/data");
  // BTRFS_IOC_SET_RECEIVED_SUBVOL
  const script = site.write(
    "set.py",
    "import fcntl, os, struct, sys\nfor path in sys.argv[2:]: fcntl.ioctl(os.open(path, os.O_RDONLY), " +
      "0xc0c89425, bytearray(bytes([int(sys.argv[1])] * 16) + struct.pack('QQ', 1, 1) + bytes(168)))\n",
  );
  const own = [await site.subvolume("btrfs/data/a"), await site.subvolume("btrfs/data/b")];
  const set = (byte: number) => `python3 ${script} ${byte} ${own.join(" ")}`;
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ snapshot*/[ab]\\ *) ;; *) exec "$real" "$@" ;; esac
exec 9>${site.at("lock")}; flock 9; ${set(7)}; "$real" "$@"; status=$?; ${set(0)}; exit $status`,
  );
  await site.addBtrfs("store");
  const remoteFolder = site.addStorage("store/backups");
  for (let night = 0; night < 2; night++) {
    for (const name of ["a", "b"]) site.write(`btrfs/data/${name}/file`, `${night}`);
    const { code, stderr } = await site.backUp(["btrfs/data"], {
      strategy: "btrfs-send",
      remoteFolder,
    });
    assertEquals(code, 0, stderr);
    const archive = `${remoteFolder}/${archivesIn(remoteFolder).at(-1)}`;
    for (const name of ["a", "b"]) {
      const path = `${archive}/${site.at(`btrfs/data/${name}`).slice(1).replaceAll("/", "%2F")}`;
      assertEquals(Deno.readTextFileSync(`${path}/file`), `${night}`);
    }
  }
}, ["program python3"]);

for (const [what, letter] of [["paths", "d"], ["paths of many lines", "\n"]] as const) {
  btrfsTest(`row 53: ${what} that btrfs can send and not receive`, async (site) => {
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file");
    await site.subvolume("btrfs/data/user");
    site.write("btrfs/data/user/file");
    // In the snapshot they have less than 4096 bytes, and where they arrive more.
    await sh("perl", "-e", deepPath, site.at("btrfs/data/user"), "4070", letter);
    await site.addBtrfs("store");
    const remoteFolder = site.addStorage("store/backups");
    const { code, lastLine } = await site.backUp(["btrfs/data"], {
      strategy: "btrfs-send",
      remoteFolder,
    });
    assertEquals(code, 3, lastLine);
    assertMatch(lastLine, /send: \S+btrfs\/data\/user is left out: .*(?:invalid|too long)/);
    await sh(
      "perl",
      "-MFile::Path",
      "-e",
      "chdir shift; rmtree([grep { -d } glob(q(*)), qq(\n) x 250])",
      site.at("btrfs/data/user"),
    );
  }, ["program perl"]);
}

/** Folders in one another whose whole path has so many bytes. */
const deepPath = `chdir shift; my $left = shift; my $letter = shift;
while ($left > 0) {
  my $n = $left > 257 ? 250 : $left > 250 ? 200 : $left;
  mkdir $letter x $n; chdir $letter x $n or die; $left -= $n + 1;
}`;

btrfsTest("row 53: folders that a user nests too deep for tar", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  const own = await site.subvolume("btrfs/data/user");
  site.write("btrfs/data/user/file");
  await sh("perl", "-e", 'chdir shift; for (1..4000) { mkdir "a"; chdir "a" or die }', own);
  site.write("btrfs/data/zoe/file");
  // With the stack of 8 MiB that is usual it takes some 15,000 folders.
  site.fake("tar", 'ulimit -Ss 1024; exec "$real" "$@"');
  const { code, lastLine } = await site.backUp(["btrfs/data"]);
  assertEquals(code, 3, lastLine);
  assertMatch(lastLine, /bytes are left out, .*: below "\S+data\/user\/a/);
  const members = await site.members();
  for (const name of ["file", "user/file", "zoe/file"]) {
    assert(members.includes(`btrfs/data/${name}`), `${members.slice(0, 20)}`);
  }
  await site.assertNothingLeft();
  await sh("rm", "-r", own + "/a");
}, ["program perl"]);
