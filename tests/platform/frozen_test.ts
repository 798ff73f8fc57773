import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { Gate } from "../support/gate.ts";
import { untilMidUpload } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, snapshotsOfSubvolume } from "../support/site.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify } from "../support/storage.ts";

btrfsTest("what changes, comes or goes after the snapshot makes no difference", async (site) => {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/nested");
  for (const folder of ["btrfs/data", "btrfs/data/nested"]) {
    for (const name of ["changed", "gone", "renamed", "folder/gone"]) {
      site.write(`${folder}/${name}`);
    }
    Deno.symlinkSync("before", site.at(`${folder}/link`));
  }
  const script = `set -e; for folder in ${site.at("btrfs/data")} ${site.at("btrfs/data/nested")}; do
    cd "$folder"; echo after >changed; chmod 0 changed; rm gone; mv renamed new; echo after >appeared
    rm -r folder; ln -sfn after link; mkdir later; btrfs -q subvolume create late; done`;
  await site.backUpWell(["btrfs/data"], { executeAfterSnapshot: [script] });
  const inFolder = (folder: string) => [
    folder,
    ...["changed", "folder", "folder/gone", "gone", "link", "renamed"].map((name) =>
      `${folder}/${name}`
    ),
  ];
  assertEquals(
    await site.members(),
    [...inFolder("btrfs/data"), ...inFolder("btrfs/data/nested")].sort(),
  );
  const twin = await site.restore();
  for (const folder of ["btrfs/data", "btrfs/data/nested"]) {
    for (const name of ["changed", "gone", "renamed", "folder/gone"]) {
      assertEquals(site.read(`${twin}/${folder}/${name}`), `content of ${folder}/${name}`);
    }
    assertEquals(Deno.readLinkSync(site.at(`${twin}/${folder}/link`)), "before");
  }
});

btrfsTest("files that are written while they are archived give no warning", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/large", new Uint8Array(24 << 20).fill(7));
  const run = site.start(["btrfs/data"], { bandwidthLimit: "24M" });
  await untilMidUpload(site.storage);
  site.write("btrfs/data/large", "short");
  site.write("btrfs/data/new");
  const { code, stderr } = await run.output;
  assertEquals(code, 0, stderr);
  assertEquals(stderr.includes("warning"), false, stderr);
  const sum = await sh("sh", "-c", 'tar -xOf "$0" | tr -d "\\007" | wc -c', site.archive);
  assertEquals(sum.trim(), "0");
});

btrfsTest("the hook runs when all snapshots exist and nothing has been read yet", async (site) => {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/nested");
  const order = site.at("order");
  const say = (word: string) => [`echo ${word} >>${order}`];
  site.fake("tar", `[ "$1" = --version ] || echo tar >>${order}; exec "$real" "$@"`);
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ snapshot*) word=snapshot ;; *subvolume\\ delete*) word=delete ;; esac
"$real" "$@"; status=$?; [ -z "$word" ] || echo $word >>${order}; exit $status`,
  );
  await site.backUpWell(["btrfs/data"], {
    executeBefore: say("before"),
    executeAfterSnapshot: [...say("hook"), ...say("hook-2")],
    executeAfter: say("after"),
  });
  assertEquals(site.read("order").trimEnd().split("\n"), [
    "before",
    ...Array(2).fill("snapshot"),
    "hook",
    "hook-2",
    "tar",
    ...Array(2).fill("delete"),
    "after",
  ]);
});

btrfsTest(
  "a hook after the snapshot that fails makes status 3, and the archive stays",
  async (site) => {
    await site.subvolume("btrfs/data");
    const { code, lastLine } = await site.backUp(["btrfs/data"], {
      executeAfterSnapshot: ["exit 7", `touch ${site.at("next")}`],
    });
    assertEquals([code, archivesIn(site.storage).length], [3, 1]);
    assertMatch(lastLine, /executeAfterSnapshot\[0\]: exit exited with status 7/);
    assertEquals(namesIn(site.path).includes("next"), true);
    await site.assertNothingLeft();
  },
);

btrfsTest(
  "snapshots are read-only, in a private folder, and named with the id of the run (row 16)",
  async (site) => {
    await site.subvolume("btrfs/data");
    await site.subvolume("btrfs/data/nested");
    site.write("btrfs/data/nested/file");
    const gate = new Gate(site);
    const run = site.start(["btrfs/data"], { executeAfterSnapshot: [gate.line] });
    await gate.reached();
    const roots = ["btrfs/data", "btrfs/data/nested"];
    const show = (path: string) => sh("btrfs", "subvolume", "show", path);
    const folder = site.at("btrfs/.plasma");
    assertEquals(await sh("stat", "-c", "%a %u %g", folder), "700 0 0\n");
    for (const root of roots) {
      assertEquals(namesIn(site.at(root)).includes(".plasma"), false);
      const [name, ...more] = await snapshotsOfSubvolume(site, root);
      assertMatch(name!, /^\d{8}T\d{6}Z-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-\d+$/);
      assertEquals(more, []);
      assertEquals(namesIn("/run/plasma").includes(name!.replace(/-\d+$/, "")), true);
      const path = `${folder}/${name}`;
      assertEquals(await sh("btrfs", "property", "get", "-ts", path, "ro"), "ro=true\n");
      const uuid = async (of: string) => /^\tUUID:\s*(\S+)/m.exec(await show(of))![1]!;
      assertMatch(
        await show(path),
        new RegExp(`^\\tParent UUID:\\s*${await uuid(site.at(root))}`, "m"),
      );
    }
    const [nested] = await snapshotsOfSubvolume(site, "btrfs/data/nested");
    assertEquals(
      site.read(`btrfs/.plasma/${nested}/file`),
      site.read("btrfs/data/nested/file"),
    );
    gate.open();
    assertEquals((await run.output).code, 0);
    assertEquals((await site.members()).filter((member) => member.includes(".plasma")), []);
    await site.assertNothingLeft();
  },
);

btrfsTest("what tar sees cannot be written", async (site) => {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/readonly");
  site.write("btrfs/data/readonly/file");
  site.write("btrfs/data/file");
  await site.makeReadOnly("btrfs/data/readonly");
  await site.tmpfs("btrfs/data/live");
  site.write("btrfs/data/live/file");
  site.write("plain/file");
  site.fake(
    "tar",
    `for arg; do case $arg in --directory=*) find "\${arg#*=}" -name file \\
-exec sh -c 'echo changed >>"$1"; touch "$1.new"; echo "$1" >>${
      site.at("seen")
    }' sh {} \\; ;; esac; done 2>/dev/null
exec "$real" "$@"`,
  );
  await site.backUpWell(["btrfs/data", "plain"]);
  assertEquals(site.read("seen").split("\n").length, 5);
  for (const name of ["btrfs/data", "btrfs/data/readonly", "btrfs/data/live", "plain"]) {
    assertEquals(site.read(`${name}/file`), `content of ${name}/file`);
    assertEquals(namesIn(site.at(name)).includes("file.new"), false);
  }
});

btrfsTest("with a tempfile the snapshots are deleted before the upload", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/large", new Uint8Array(24 << 20).fill(7));
  const more = { tempfile: site.at("staged"), bandwidthLimit: "16M" };
  const run = site.start(["btrfs/data"], more);
  await untilMidUpload(site.storage);
  assertEquals(await site.snapshots(), []);
  const { code, stderr } = await run.output;
  assertEquals(code, 0, stderr);
  await site.assertNothingLeft();
});

btrfsTest("a snapshot goes to a storage host over SSH as it goes to a folder", async (site) => {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/nested");
  site.write("btrfs/data/nested/file");
  await using sshd = await Sshd.start();
  const { code, stderr } = await site.backUp(["btrfs/data"], { ssh: sshd.settings });
  assertEquals(code, 0, stderr);
  assertEquals(await site.members(), ["btrfs/data", "btrfs/data/nested", "btrfs/data/nested/file"]);
  await assertAllVerify(site.storage);
  assertEquals(await site.snapshots(), []);
});
