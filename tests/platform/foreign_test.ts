import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { Gate } from "../support/gate.ts";
import { btrfsTest, type Site, snapshotsOf } from "../support/site.ts";
import { sh } from "../support/sh.ts";

/** Kill a run when its snapshots exist, and return the name that they have. */
async function leaveSnapshots(site: Site): Promise<string> {
  const gate = new Gate(site);
  const run = site.start(["btrfs/data"], { executeAfterSnapshot: [gate.line] });
  await gate.reached();
  run.child.kill("SIGKILL");
  await run.child.status;
  gate.open();
  await run.output;
  const [name, ...more] = snapshotsOf(site.at("btrfs/data"));
  assertEquals(more, []);
  return name!;
}

const snapshot = (from: string, to: string, ...flags: string[]) =>
  sh("btrfs", "-q", "subvolume", "snapshot", ...flags, from, to);

btrfsTest(
  "what a dead run has left is deleted, and nothing that only looks like it (row 17)",
  async (site) => {
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file");
    const dead = await leaveSnapshots(site);
    const [, time, machine, target, random] = /^(\w+)-(\w+)-(\w+)-(\w+)$/.exec(dead)!;
    const data = site.at("btrfs/data");
    const own = `${data}/.plasma`;
    const elsewhere = site.makeFolder("btrfs/data/folder/.plasma");
    const foreign = [
      `${own}/mine`,
      `${own}/${time}-${machine}-${target}-${random}.old`,
      `${own}/x${dead}`,
      `${own}/${time}-${machine}-${target}`,
      `${own}/${time}-${machine}-${target}-${random}\n`,
      `${own}/${time}-${"0".repeat(8)}-${target}-${random}`, // of another machine
      `${own}/${time}-${machine}-${target}-${random!.toUpperCase()}x`,
      `${elsewhere}/${dead}`, // not in the root of a subvolume
      `${data}/${dead}`,
    ];
    for (const path of foreign) await snapshot(data, path, "-r");
    const writable = `${own}/20200101T000000Z-${machine}-${target}-00000000`;
    await snapshot(data, writable);
    const folder = `${own}/20200101T000000Z-${machine}-${target}-00000001`;
    Deno.mkdirSync(folder);
    const file = `${own}/20200101T000000Z-${machine}-${target}-00000002`;
    Deno.writeTextFileSync(file, "");

    const { code, stderr } = await site.backUp(["btrfs/data"]);
    assertEquals(code, 0, stderr);
    for (const path of [...foreign, writable, folder, file]) Deno.lstatSync(path);
    assertEquals(namesIn(own).includes(dead), false);
    assertEquals(snapshotsOf(site.at("btrfs")), []);
    assertEquals((await site.members()).filter((name) => /^btrfs\/data\/\.plasma/.test(name)), []);
    assertEquals((await site.members()).includes("btrfs/data/folder/.plasma"), true);
  },
);

btrfsTest("snapshots of a dead run to another storage are deleted too", async (site) => {
  await site.subvolume("btrfs/data");
  await leaveSnapshots(site);
  const other = await site.backUp(["btrfs/data"], { remoteFolder: site.addStorage("other") });
  assertEquals(other.code, 0, other.stderr);
  assertEquals(await site.snapshots(), []);
});

btrfsTest(
  "a link in the place of a snapshot does not lead to a foreign subvolume",
  async (site) => {
    await site.subvolume("btrfs/data");
    await site.subvolume("btrfs/foreign");
    site.write("btrfs/foreign/file");
    await site.makeReadOnly("btrfs/foreign");
    const { code, stderr } = await site.backUp(["btrfs/data"], {
      executeAfterSnapshot: [
        `cd ${site.at("btrfs/data/.plasma")} && for name in *; do mv "$name" "$name.old"; ` +
        `ln -s ${site.at("btrfs/foreign")} "$name"; done`,
      ],
    });
    assertEquals([code, site.read("btrfs/foreign/file")], [3, "content of btrfs/foreign/file"]);
    assertMatch(stderr, /delete it by hand/);
  },
);

btrfsTest("a folder .plasma that is a link is refused", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("outside/file");
  Deno.symlinkSync(site.at("outside"), site.at("btrfs/data/.plasma"));
  const { code, lastLine } = await site.backUp(["btrfs/data"]);
  assertEquals(code, 1);
  assertMatch(lastLine, /btrfs\/data\/\.plasma/);
  assertEquals(await site.snapshots(), []);
  assertEquals(namesIn(site.at("outside")), ["file"]);
});

/** What is there, just before btrfs makes the snapshot: row 16 of the table of faults. */
const obstacles = {
  "a folder": 'mkdir "$target"',
  "a writable subvolume": '"$real" -q subvolume create "$target"',
  "a file": ': >"$target"',
  "a link to a folder": `ln -s / "$target"`,
};

for (const [what, make] of Object.entries(obstacles)) {
  btrfsTest(`row 16: ${what} where the snapshot is to be fails the run`, async (site) => {
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file");
    site.fake(
      "btrfs",
      `case "$*" in *subvolume\\ snapshot*data/.plasma/*)
for target; do :; done; ${make}; stat -c "%i %F" "$target" >${site.at("obstacle")} ;; esac
exec "$real" "$@"`,
    );
    const { code, lastLine } = await site.backUp(["btrfs/data"]);
    assertEquals([code, archivesIn(site.storage)], [1, []], lastLine);
    assertMatch(lastLine, /snapshot/);
    const [name] = snapshotsOf(site.at("btrfs/data"));
    const left = await sh("stat", "-c", "%i %F", site.at(`btrfs/data/.plasma/${name}`));
    assertEquals(left, site.read("obstacle"));
  });
}

btrfsTest("a run that ends while another one begins does no harm to it", async (site) => {
  await site.subvolume("btrfs/data");
  const gate = new Gate(site);
  const first = site.start(["btrfs/data"], { executeAfter: [gate.line] });
  await gate.reached();
  // The second run finds what the first one has made, and looks whether that is still alive when
  // it has just ended.
  const look = Gate.at(site, "before", "flock", "*--nonblock*");
  site.fake(
    "flock",
    `n=$(cat ${site.at("count")} 2>/dev/null || echo 0); n=$((n + 1))
echo $n >${site.at("count")}; [ $n != 2 ] || { ${look.line}; }; exec "$real" "$@"`,
  );
  const second = site.start(["btrfs/data"], { remoteFolder: site.addStorage("other") });
  await look.reached();
  gate.open();
  assertEquals((await first.output).code, 0);
  look.open();
  const { code, stderr } = await second.output;
  assertEquals(code, 0, stderr);
  await site.assertNothingLeft();
});
