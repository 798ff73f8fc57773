import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { Gate } from "../support/gate.ts";
import { btrfsTest, type Site, snapshotsOf } from "../support/site.ts";
import { sh } from "../support/sh.ts";

/** Kill a run when its snapshot exists, and return the name that it has. */
async function leaveSnapshots(site: Site): Promise<string> {
  const gate = new Gate(site);
  const run = site.start(["btrfs/data"], { executeAfterSnapshot: [gate.line] });
  await gate.reached();
  run.child.kill("SIGKILL");
  await run.child.status;
  gate.open();
  await run.output;
  const [name, ...more] = snapshotsOf(site);
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
    const [, time, machine, target, random, id] = /^(\w+)-(\w+)-(\w+)-(\w+)-(\d+)$/.exec(dead)!;
    const data = site.at("btrfs/data");
    const own = site.at("btrfs/.plasma");
    const elsewhere = site.makeFolder("btrfs/data/.plasma");
    const foreign = [
      `${own}/mine`,
      `${own}/${dead}.old`,
      `${own}/x${dead}`,
      `${own}/${time}-${machine}-${target}-${random}`,
      `${own}/${dead}\n`,
      `${own}/${time}-${"0".repeat(8)}-${target}-${random}-${id}`, // of another machine
      `${own}/${time}-${machine}-${target}-${random!.toUpperCase()}x-${id}`,
      `${elsewhere}/${dead}`, // not at the top level
      `${data}/${dead}`,
    ];
    for (const path of foreign) await snapshot(data, path, "-r");
    const old = `20200101T000000Z-${machine}-${target}`;
    const writable = `${own}/${old}-00000000-256`;
    await snapshot(data, writable);
    const folder = `${own}/${old}-00000001-256`;
    Deno.mkdirSync(folder);
    const file = `${own}/${old}-00000002-256`;
    Deno.writeTextFileSync(file, "");
    // Of a run that was killed before it had made it read-only.
    await snapshot(data, `${own}/${old}-00000003-256.sent.new`);

    const { code, stderr } = await site.backUp(["btrfs/data"]);
    assertEquals(code, 0, stderr);
    for (const path of [...foreign, writable, folder, file]) Deno.lstatSync(path);
    assertEquals(namesIn(own).includes(dead), false);
    assertEquals(namesIn(own).filter((name) => name.endsWith(".new")), []);
    assertEquals((await site.members()).includes(`btrfs/data/.plasma/${dead}/file`), true);
  },
);

btrfsTest("snapshots of a dead run to another storage are deleted too", async (site) => {
  await site.subvolume("btrfs/data");
  await leaveSnapshots(site);
  const other = await site.backUp(["btrfs/data"], { remoteFolder: site.addStorage("other") });
  assertEquals(other.code, 0, other.stderr);
  assertEquals(await site.snapshots(), []);
});

/** What may be at the place of the folder for the snapshots. */
const places = {
  "a link": (site: Site, path: string) => Deno.symlink(site.makeFolder("outside"), path),
  "a file": (_site: Site, path: string) => Deno.writeTextFile(path, ""),
  "a folder that others may write": async (_site: Site, path: string) => {
    await Deno.mkdir(path);
    await Deno.chmod(path, 0o777);
  },
  "a folder of somebody else": async (_site: Site, path: string) => {
    await Deno.mkdir(path, { mode: 0o700 });
    await Deno.chown(path, 1000, 1000);
  },
  "a subvolume": async (site: Site, path: string) => {
    await site.subvolume("btrfs/.plasma");
    await Deno.chmod(path, 0o700);
  },
};

for (const [what, make] of Object.entries(places)) {
  btrfsTest(`row 52: ${what} where the snapshots are to be is refused`, async (site) => {
    await site.subvolume("btrfs/data");
    await make(site, site.at("btrfs/.plasma"));
    const { code, lastLine } = await site.backUp(["btrfs/data"]);
    assertEquals(code, 1);
    assertMatch(lastLine, /\/\.plasma at the top level .* is not a folder that belongs to root/);
    assertEquals((await site.snapshots()).filter((line) => !line.endsWith("path .plasma")), []);
    assertEquals(namesIn(site.at("outside")), []);
  });
}

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
      `case "$*" in *subvolume\\ snapshot*)
for target; do :; done; ${make}; stat -c "%i %F" "$target" >${site.at("obstacle")} ;; esac
exec "$real" "$@"`,
    );
    const { code, lastLine } = await site.backUp(["btrfs/data"]);
    assertEquals([code, archivesIn(site.storage)], [1, []], lastLine);
    assertMatch(lastLine, /snapshot/);
    const [name] = snapshotsOf(site);
    const left = await sh("stat", "-c", "%i %F", site.at(`btrfs/.plasma/${name}`));
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
