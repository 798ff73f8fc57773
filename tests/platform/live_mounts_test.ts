import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot } from "../support/folders.ts";
import { untilMidUpload } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

/** A folder on btrfs with an ext4, a tmpfs, a proc, and a btrfs below the tmpfs. */
async function makeMixture(site: Site): Promise<void> {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  await sh("mkfs.ext4", "-q", site.at("ext4.img"), "8M");
  await site.mount("btrfs/data/ext4", "-o", "loop", site.at("ext4.img"));
  Deno.removeSync(site.at("btrfs/data/ext4/lost+found"));
  site.write("btrfs/data/ext4/file");
  await site.tmpfs("btrfs/data/tmpfs");
  site.write("btrfs/data/tmpfs/file");
  await site.mount("btrfs/data/proc", "-t", "proc", "proc");
  site.write("plain/file");
}

const places = (site: Site, found: readonly { path: string }[]) =>
  found.map(({ path }) => path.slice(site.path.length + 1)).sort();

btrfsTest("row 19: other filesystems are archived live, each with a warning", async (site) => {
  await makeMixture(site);
  const { stderr, stdout } = await site.backUpWell(["btrfs/data", "plain"]);
  assertEquals(await site.members(), [
    "btrfs/data",
    "btrfs/data/ext4",
    "btrfs/data/ext4/file",
    "btrfs/data/file",
    "btrfs/data/proc",
    "btrfs/data/tmpfs",
    "btrfs/data/tmpfs/file",
    "plain",
    "plain/file",
  ]);
  for (const [name, type] of [["btrfs/data/ext4", "ext4"], ["btrfs/data/tmpfs", "tmpfs"]]) {
    assertStringIncludes(stderr, `${site.at(name!)} is not frozen but archived live: on ${type}`);
  }
  assertStringIncludes(stderr, `${site.at("plain")} is not frozen but archived live`);
  assertMatch(stderr, new RegExp(`${site.at("btrfs/data/proc")}: .*\\(proc\\)`));
  assertEquals(stdout.trimEnd(), archivesIn(site.storage)[0]);

  const { folders, warnings } = await site.coverage(["btrfs/data", "plain"]);
  assertEquals(folders.map(({ live }) => places(site, live)), [
    ["btrfs/data/ext4", "btrfs/data/tmpfs"],
    ["plain"],
  ]);
  assertEquals(places(site, folders[0]!.skipped), ["btrfs/data/proc"]);
  assertEquals(warnings.length, 3);
});

btrfsTest('with liveMounts "skip" other filesystems are left out, and named', async (site) => {
  await makeMixture(site);
  const options = { options: { liveMounts: "skip" } };
  const { stderr } = await site.backUpWell(["btrfs/data", "plain"], options);
  assertEquals(await site.members(), [
    "btrfs/data",
    "btrfs/data/ext4",
    "btrfs/data/file",
    "btrfs/data/proc",
    "btrfs/data/tmpfs",
  ]);
  for (const name of ["btrfs/data/ext4", "btrfs/data/tmpfs", "plain"]) {
    assertStringIncludes(stderr, `${site.at(name)} is left out`);
  }
  const { folders } = await site.coverage(["btrfs/data", "plain"], options);
  assertEquals(folders.map(({ live }) => live), [[], []]);
  assertEquals(folders.map(({ skipped }) => places(site, skipped)), [
    ["btrfs/data/ext4", "btrfs/data/proc", "btrfs/data/tmpfs"],
    ["plain"],
  ]);
});

btrfsTest('with liveMounts "fail" nothing is stored, and all are named', async (site) => {
  await makeMixture(site);
  const options = { options: { liveMounts: "fail" } };
  const { code, lastLine } = await site.backUp(["btrfs/data", "plain"], options);
  assertEquals([code, archivesIn(site.storage)], [1, []]);
  for (const name of ["btrfs/data/ext4", "btrfs/data/tmpfs", "plain"]) {
    assertStringIncludes(lastLine, site.at(name));
  }
  await site.assertNothingLeft();
});

btrfsTest('what is excluded does not count for liveMounts "fail"', async (site) => {
  await makeMixture(site);
  const { code, stderr } = await site.backUp(["btrfs/data"], {
    options: { liveMounts: "fail" },
    exclude: [site.at("btrfs/data/ext4"), `${site.at("btrfs/data/tmpfs")}/`],
  });
  assertEquals(code, 0, stderr);
  assertEquals(await site.members(), ["btrfs/data", "btrfs/data/file", "btrfs/data/proc"]);
});

btrfsTest("without any folder on btrfs the run fails and names them (row 18)", async (site) => {
  site.write("plain/file");
  await site.tmpfs("memory");
  const { code, lastLine } = await site.backUp(["plain", "memory"]);
  assertEquals([code, archivesIn(site.storage)], [1, []]);
  for (const name of ["plain", "memory"]) assertStringIncludes(lastLine, site.at(name));
  await site.assertNothingLeft();
});

for (const [outer, ...args] of [["tmpfs", "-t", "tmpfs", "t"], ["proc", "-t", "proc", "p"]]) {
  for (const liveMounts of ["include", "skip"]) {
    btrfsTest(
      `what is mounted below ${outer} is archived or named (${liveMounts}) (row 19)`,
      async (site) => {
        await site.subvolume("btrfs/data");
        await site.subvolume("btrfs/inner");
        site.write("btrfs/inner/file");
        await site.mount("btrfs/data/outer", ...args);
        // No folder can be made in proc: one that every proc has.
        const inner = `btrfs/data/outer/${outer === "proc" ? "tty" : "inner"}`;
        await site.bind("btrfs/inner", inner);
        await site.tmpfs(`${inner}/deep`);
        site.write(`${inner}/deep/file`);

        const settings = { options: { liveMounts } };
        await site.backUpWell(["btrfs/data"], settings);
        const members = await site.members();
        const { folders: [covered] } = await site.coverage(["btrfs/data"], settings);
        const skipped = places(site, covered!.skipped);
        for (const place of [inner, `${inner}/deep`]) {
          const isArchived = members.includes(`${place}/file`);
          assertEquals([place, isArchived], [place, !skipped.includes(place)]);
        }
      },
    );
  }
}

for (const name of ["plain", "größe [*] a\\b\nc"]) {
  const what = JSON.stringify(name);
  btrfsTest(`a live filesystem ${what} that is written meanwhile gives status 3`, async (site) => {
    await site.subvolume("btrfs/data");
    const live = `btrfs/data/${name}`;
    await site.tmpfs(live);
    site.write(`${live}/large`, new Uint8Array(24 << 20).fill(7));
    const run = site.start(["btrfs/data"], { bandwidthLimit: "16M" });
    await untilMidUpload(site.storage);
    site.write(`${live}/large`, "short");
    site.write(`${live}/new`);
    const { code, stderr, stdout } = await run.output;
    assertEquals(code, 3, stderr);
    assertEquals(stdout.trimEnd(), archivesIn(site.storage)[0]);
    assertMatch(stderr, /large: File shrank by/);
    assertMatch(stderr, /data.[^/]*: file changed as we read it/); // the folder
    await site.assertNothingLeft();
  });
}

btrfsTest("a frozen file that tar cannot read fails the run", async (site) => {
  site.write("btrfs/data/file");
  await site.tmpfs("btrfs/data/live");
  site.fake(
    "tar",
    `[ "$1" = --version ] || echo "tar: ${
      site.path.slice(1)
    }/btrfs/data/file: file changed as we read it" >&2
"$real" "$@"
[ "$1" = --version ] || exit 1`,
  );
  const { code, lastLine } = await site.backUp(["btrfs/data"]);
  assertEquals([code, archivesIn(site.storage)], [1, []]);
  assertMatch(lastLine, /btrfs\/data\/file: file changed as we read it/);
  await site.assertNothingLeft();
});

btrfsTest("a network filesystem is left out and not even looked at", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  const path = site.makeFolder("btrfs/data/far");
  const script = fromRoot("tests/testdata/dead_network_mount.py");
  const server = new Deno.Command("python3", {
    args: [script, "fuse.sshfs", path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  try {
    await server.stdout.getReader().read();
    const { code, stderr } = await site.backUp(["btrfs/data"]);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `${path}: on a network filesystem (fuse.sshfs)`);
    assertEquals(await site.members(), ["btrfs/data", "btrfs/data/far", "btrfs/data/file"]);
    const { folders: [covered] } = await site.coverage(["btrfs/data"]);
    assertEquals(places(site, covered!.skipped), ["btrfs/data/far"]);
  } finally {
    server.kill("SIGKILL");
    await server.status;
    await sh("umount", path);
  }
}, ["program python3"]);
