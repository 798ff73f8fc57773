import { assert, assertEquals } from "@std/assert";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { Writer } from "../support/writer.ts";

/** What a live tar reads for a while, between files that are written together. */
const filler = new Uint8Array(16 << 20).fill(7);

const counts = (site: Site, folder: string) =>
  ["before", "after"].map((name) => Number(site.read(`${folder}/${name}`))) as [number, number];

const folders = ["btrfs/data", "btrfs/data/nested", "btrfs/data/nested/twice"];

/** Subvolumes in each of which tar reads "after", then much, and then "before". */
async function makeSource(site: Site): Promise<void> {
  for (const folder of folders) {
    await site.subvolume(folder);
    site.write(`${folder}/after`, "0");
    site.write(`${folder}/filler`, filler);
    site.write(`${folder}/before`, "0");
  }
}

btrfsTest("files that are written in order never disagree in the archive", async (site) => {
  await makeSource(site);
  await using _ = await Writer.start("write_in_order.py", ...folders.map((name) => site.at(name)));
  // The instants of the subvolumes lie between the start of the run and this hook.
  const look = (when: string) =>
    `for file in ${folders.map((name) => site.at(name)).join(" ")}; do
    mkdir -p ${site.at(when)}$file; cp $file/before $file/after ${site.at(when)}$file; done`;
  const { code, stderr } = await site.backUp(["btrfs/data"], {
    executeBefore: [look("start")],
    executeAfterSnapshot: [look("end")],
  });
  assertEquals(code, 0, stderr);
  const twin = await site.restore();
  for (const folder of folders) {
    const [before, after] = counts(site, `${twin}/${folder}`);
    assert(after <= before && before <= after + 1, `${folder}: ${before} before, ${after} after`);
    const [start] = counts(site, `start${site.path}/${folder}`);
    const [, end] = counts(site, `end${site.path}/${folder}`);
    assert(start <= before, `${folder}: ${before} is older than the run, ${start}`);
    assert(after <= end, `${folder}: ${after} is younger than the hook, ${end}`);
  }
}, ["program python3"]);

btrfsTest("a database in WAL mode under constant writes is whole after a restore", async (site) => {
  await site.subvolume("btrfs/data");
  // The last in the folder is read last: the log of the database, long after the database.
  await using _ = await Writer.start("write_database.py", site.at("btrfs/data/base.db"));
  site.write("btrfs/data/filler", filler);
  for (let round = 0; round < 3; round++) {
    const { code, stderr } = await site.backUp(["btrfs/data"], {
      remoteFolder: site.addStorage(`storage${round}`),
    });
    assertEquals(code, 0, stderr);
    const archive = (await sh("sh", "-c", 'ls "$0"/*.tar', site.at(`storage${round}`))).trimEnd();
    const target = site.makeFolder(`restored${round}`);
    await sh("tar", "-xf", archive, "-C", target);
    const database = `${target}${site.path}/btrfs/data/base.db`;
    assertEquals(await sh("sqlite3", database, "PRAGMA integrity_check"), "ok\n");
    const sums = await sh(
      "sqlite3",
      database,
      "SELECT sum(amount), (SELECT moves FROM total) - (SELECT count(*) FROM log), " +
        "(SELECT moves FROM total) > 0 FROM account",
    );
    assertEquals(sums, "0|0|1\n");
  }
}, ["program python3", "program sqlite3"]);
