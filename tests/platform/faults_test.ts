import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { Gate } from "../support/gate.ts";
import { plasma } from "../support/plasma.ts";
import { runFolders } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site, snapshotsOf } from "../support/site.ts";
import { assertAllVerify } from "../support/storage.ts";

async function makeSource(site: Site): Promise<void> {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/ne'sted");
  for (const name of ["data", "data/ne'sted"]) site.write(`btrfs/${name}/file`);
}

/** The run fails with status 1, stores nothing and leaves nothing. */
async function assertFails(site: Site, words: RegExp, options = {}, more = {}): Promise<string> {
  const hook = `touch ${site.at("hook-ran")}`;
  const { code, stderr, lastLine } = await site.backUp(
    ["btrfs/data"],
    { executeBefore: [hook], ...more },
    options,
  );
  assertEquals([code, archivesIn(site.storage)], [1, []], stderr);
  assertMatch(lastLine, words);
  await site.assertNothingLeft();
  return lastLine;
}

btrfsTest("row 20: a snapshot that cannot be deleted: status 3, and how to do it", async (site) => {
  await makeSource(site);
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ delete*) echo "ERROR: Could not destroy it: Device or resource busy" >&2
exit 1 ;; esac; exec "$real" "$@"`,
  );
  const { code, stdout, lastLine } = await site.backUp(["btrfs/data"]);
  assertEquals([code, stdout.trimEnd()], [3, archivesIn(site.storage)[0]!]);
  await assertAllVerify(site.storage);
  assertStringIncludes(lastLine, "stored, but");
  assertStringIncludes(lastLine, "Device or resource busy");
  const [command] = /unshare --mount sh -c '[^']*'/.exec(lastLine)!;
  assertEquals((await site.snapshots()).length, 2);
  await sh("sh", "-c", command);
  assertEquals(await site.snapshots(), []);
});

btrfsTest("a folder that cannot be snapshotted: the others are deleted again", async (site) => {
  await makeSource(site);
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ snapshot*/data\\ *) sleep 0.3; echo "ERROR: it is broken" >&2
exit 1 ;; esac; exec "$real" "$@"`,
  );
  await assertFails(site, /snapshot.*data, in which .*data lies: it is broken/);
});

btrfsTest("a btrfs that makes the snapshot and then fails leaves nothing", async (site) => {
  await makeSource(site);
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ snapshot*/data\\ *) "$real" "$@"; kill -9 $$ ;; esac
exec "$real" "$@"`,
  );
  await assertFails(site, /snapshot.*data lies: it failed/);
});

btrfsTest("a run that fails after the snapshots deletes them", async (site) => {
  await makeSource(site);
  site.fake("tar", '[ "$1" = --version ] || exit 2; exec "$real" "$@"');
  await assertFails(site, /tar exited with status 2/);
});

btrfsTest("a run that fails and cannot delete its snapshots says both (row 20)", async (site) => {
  await makeSource(site);
  site.fake("tar", '[ "$1" = --version ] || exit 2; exec "$real" "$@"');
  site.fake("btrfs", 'case "$*" in *subvolume\\ delete*) exit 1 ;; esac; exec "$real" "$@"');
  const { code, lastLine } = await site.backUp(["btrfs/data"]);
  assertEquals([code, archivesIn(site.storage)], [1, []]);
  assertMatch(lastLine, /tar exited with status 2.*btrfs subvolume delete -i/);
});

btrfsTest("a view that cannot be built fails the run, with the reason", async (site) => {
  await makeSource(site);
  site.fake(
    "mount",
    'case "$*" in */view/0/*data) echo "mount: it is broken" >&2; exit 32 ;; esac; exec "$real" "$@"',
  );
  await assertFails(site, /snapshot: .*cannot be seen at .*data: it is broken/);
});

btrfsTest("something in the way of the view fails the run and leaves no snapshot", async (site) => {
  await makeSource(site);
  const gate = new Gate(site);
  const run = site.start(["btrfs/data"], { executeBefore: [gate.line] });
  await gate.reached();
  const [folder, ...more] = runFolders(site.storage);
  assertEquals(more, []);
  Deno.writeTextFileSync(`/run/plasma/${folder}/view`, "");
  gate.open();
  const { code, stderr } = await run.output;
  assertEquals([code, archivesIn(site.storage)], [1, []], stderr);
  await site.assertNothingLeft();
});

btrfsTest("row 18: a filesystem mounted read-only fails the run, with the cause", async (site) => {
  await makeSource(site);
  await sh("mount", "-o", "remount,ro", site.at("btrfs"));
  await assertFails(site, /snapshot: .*btrfs is mounted read-only/);
});

btrfsTest("a read-only mount does no harm where another one is writable", async (site) => {
  await makeSource(site);
  await site.mountSubvolume("mounted", "data");
  await sh("mount", "-o", "remount,bind,ro", site.at("mounted"));
  await site.backUpWell(["mounted"]);
  assertEquals((await site.members()).includes("mounted/file"), true);
});

btrfsTest(
  "a subvolume whose root is nowhere to be seen is frozen, but cannot be sent as a whole",
  async (site) => {
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/folder/file");
    await site.bind("btrfs/data/folder", "bound");
    await sh("umount", site.at("btrfs"));
    const config = site.config(["bound"], { strategy: "btrfs-send" });
    const { code, lastLine } = await plasma(["backup", "--dry-run", "--config", config]);
    assertEquals(code, 1);
    assertMatch(lastLine, /subvolume "data" \(id \d+\).*mount -o subvolid=\d+/);
    await site.addBtrfs("whole");
    await sh("mkdir", site.at("whole/below"));
    await sh("mount", "--move", site.at("bound"), site.at("whole/below"));
    const below = site.config(["whole"], { strategy: "btrfs-send" });
    const { stdout } = await plasma(["backup", "--dry-run", "--config", below]);
    assertMatch(stdout, /skipped +\S+whole\/below +only a part of the subvolume \/data is mounted/);
    await sh("mount", "--move", site.at("whole/below"), site.at("bound"));
    const snapshot = await site.backUp(["bound"]);
    assertEquals(snapshot.code, 0, snapshot.stderr);
    assertEquals(await site.members(), ["bound", "bound/file"]);
  },
);

btrfsTest("without CAP_SYS_ADMIN the run fails before any hook", async (site) => {
  await makeSource(site);
  const through = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
  const line = await assertFails(site, /snapshot: cannot make a private mount namespace/, {
    through,
  });
  assertStringIncludes(line, "CAP_SYS_ADMIN");
  assertEquals(namesIn(site.path).includes("hook-ran"), false);
}, ["program setpriv"]);

btrfsTest("without root the run fails before any hook", async (site) => {
  await makeSource(site);
  // What belongs to root belongs to this user here, so that it can read the program's own files.
  const through = ["unshare", "--user", "--map-user=65534", "--map-group=65534"];
  await assertFails(site, /snapshot: only root can take snapshots/, { through });
  assertEquals(namesIn(site.path).includes("hook-ran"), false);
}, ["program unshare"]);

for (const program of ["btrfs", "unshare"]) {
  btrfsTest(`row 11: without the program ${program} the run is refused`, async (site) => {
    await makeSource(site);
    const tools =
      "sh deno cat flock mkfifo tar timeout setsid btrfs unshare mount umount xargs rmdir mv readlink stat getent " +
      "id cut uname mkdir dirname env";
    for (const tool of tools.split(" ")) {
      const path = await sh("sh", "-c", `command -v ${tool} || true`);
      if (path !== "" && tool !== program) {
        Deno.symlinkSync(path.trimEnd(), `${site.makeFolder("tools")}/${tool}`);
      }
    }
    const { code, lastLine } = await site.backUp(
      ["btrfs/data"],
      { executeBefore: [`touch ${site.at("hook-ran")}`] },
      { environment: { PATH: site.at("tools") } },
    );
    assertEquals([code, archivesIn(site.storage)], [2, []], lastLine);
    assertMatch(lastLine, new RegExp(`"${program}".*install the package (btrfs-progs|util-linux)`));
    assertEquals(namesIn(site.path).includes("hook-ran"), false);
    await site.assertNothingLeft();
  });
}

btrfsTest(
  "a filesystem without space for a snapshot fails the run, with the cause (row 18)",
  async (site) => {
    await site.addBtrfs("full", { megabytes: 114, flags: ["--mixed"] });
    site.write("full/data/file");
    await sh("btrfs", "quota", "enable", site.at("full"));
    await sh("btrfs", "qgroup", "limit", "1M", site.at("full"));
    await sh(
      "sh",
      "-c",
      'dd if=/dev/urandom of="$0" bs=64k 2>&1 || true',
      site.at("full/data/large"),
    );
    await sh("sync", "-f", site.at("full"));
    const { code, stderr, lastLine } = await site.backUp(["full/data"]);
    assertEquals([code, archivesIn(site.storage)], [1, []], stderr);
    assertMatch(lastLine, /snapshot: .*(quota|space)/i);
    await site.assertNothingLeft();
  },
);

btrfsTest(
  "a subvolume that appears while the snapshots are taken is not left out",
  async (site) => {
    await makeSource(site);
    const late = site.at("btrfs/data/late");
    site.fake(
      "btrfs",
      `case "$*" in *subvolume\\ snapshot*) mkdir ${site.at("once")} 2>/dev/null && {
"$real" -q subvolume create ${late}; echo content >${late}/file; : >${site.at("made")}; }
while ! [ -e ${site.at("made")} ]; do sleep 0.01; done ;; esac; exec "$real" "$@"`,
    );
    const { code, stderr } = await site.backUp(["btrfs/data"]);
    assertEquals(code, 0, stderr);
    assertEquals((await site.members()).includes("btrfs/data/late/file"), true);
    await site.assertNothingLeft();
  },
);

btrfsTest("the tests' own look for leftovers finds some", async (site) => {
  await makeSource(site);
  const gate = new Gate(site);
  const run = site.start(["btrfs/data"], { executeAfterSnapshot: [gate.line] });
  await gate.reached();
  assertEquals((await site.snapshots()).length, 2);
  assertEquals(snapshotsOf(site).length, 2);
  gate.open();
  assertEquals((await run.output).code, 0);
});
