import { assertEquals } from "@std/assert";
import { Lock } from "../../../src/system/lock.ts";
import { archivesIn, namesIn } from "../../support/folders.ts";
import type { Bench, Cases } from "../bench.ts";

/** Archives with their sidecars, as if they had been committed. */
function put(bench: Bench, ...names: string[]): string[] {
  for (const name of names) {
    Deno.writeTextFileSync(`${bench.storage}/${name}`, name);
    const line = `${"0".repeat(64)}  ${name}\n`;
    Deno.writeTextFileSync(`${bench.storage}/${name}.sha256`, line);
  }
  return names;
}

const days = (count: number) =>
  Array.from(
    { length: count },
    (_, day) => `202001${String(day + 1).padStart(2, "0")}-0000-daily.tar`,
  );

/** One of each week, oldest first, or of each month. */
const every = (period: "weeks" | "months", count: number, label: string) =>
  Array.from({ length: count }, (_, number) => {
    const date = Temporal.PlainDate.from("2018-01-01").add({ [period]: number });
    return `${date.toString().replaceAll("-", "")}-0000-${label}.tar`;
  });

/** What a rotation deletes, and what it says. */
export const rotations: Cases = {
  "a rotation deletes what the policy no longer keeps, and reports it": async (bench) => {
    bench.setPolicy({ daily: 2, weekly: 1 });
    put(bench, ...days(4), "20191230-0000-weekly.tar", "20191201-0000-monthly.tar");
    put(bench, "29991231-0000-daily.tar");
    Deno.writeTextFileSync(`${bench.storage}/notes-daily.tar`, "not an archive");
    Deno.mkdirSync(`${bench.storage}/20200109-0000-daily.tar`);
    const before = namesIn(bench.storage);

    const planned = await bench.store.rotate({ dryRun: true });
    assertEquals(namesIn(bench.storage), before);
    const done = await bench.store.rotate({ dryRun: false });
    assertEquals(done, planned);
    assertEquals(done, {
      folder: Deno.realPathSync(bench.storage),
      decisions: [
        {
          name: "20191201-0000-monthly.tar",
          keep: true,
          reason: "the policy does not name monthly",
        },
        { name: "20191230-0000-weekly.tar", keep: true, reason: "weekly 1 of 1" },
        { name: "20200101-0000-daily.tar", keep: false, reason: "more than 2 daily" },
        { name: "20200102-0000-daily.tar", keep: false, reason: "more than 2 daily" },
        { name: "20200103-0000-daily.tar", keep: true, reason: "daily 2 of 2" },
        { name: "20200104-0000-daily.tar", keep: true, reason: "daily 1 of 2" },
        {
          name: "29991231-0000-daily.tar",
          keep: true,
          reason: "dated in the future, not counted",
        },
      ],
      deleted: days(2),
      failed: [],
      future: ["29991231-0000-daily.tar"],
      foreign: ["20200109-0000-daily.tar", "notes-daily.tar"],
    });
    const gone = days(2).flatMap((name) => [name, `${name}.sha256`]);
    assertEquals(
      namesIn(bench.storage).filter((name) => name !== ".plasma"),
      before.filter((name) => !gone.includes(name)),
    );
  },

  "a rotation of what was rotated deletes nothing more": async (bench) => {
    put(bench, ...days(9));
    assertEquals((await bench.store.rotate({ dryRun: false })).deleted, days(4));
    const again = await bench.store.rotate({ dryRun: false });
    assertEquals([again.deleted, again.decisions.length], [[], 5]);
  },

  "a rotation keeps what is within keepWithin": async (bench) => {
    bench.setPolicy({ daily: 1, keepWithin: "30000d" });
    put(bench, ...days(3));
    assertEquals((await bench.store.rotate({ dryRun: false })).deleted, []);
  },

  "a rotation leaves uploads under way alone": async (bench) => {
    bench.setPolicy({ daily: 1 });
    put(bench, ...days(2));
    const claim = await bench.upload("content");
    await bench.store.rotate({ dryRun: false });
    const { name } = await bench.store.commit(claim);
    assertEquals(archivesIn(bench.storage), [days(2)[1]!, name]);
  },

  "rotations and commits wait for each other, and a dry run does not": async (bench) => {
    bench.setPolicy({ daily: 1 });
    put(bench, ...days(2));
    const claim = await bench.upload("content");
    const lock = await Lock.take(`${bench.storage}/.plasma/lock`);
    const ended: string[] = [];
    const rotation = bench.store.rotate({ dryRun: false }).then(() => ended.push("rotation"));
    const commit = bench.store.commit(claim).then(() => ended.push("commit"));
    await bench.store.rotate({ dryRun: true });
    assertEquals([ended, archivesIn(bench.storage)], [[], days(2)]);
    lock![Symbol.dispose]();
    await Promise.all([rotation, commit]);
    assertEquals(ended.toSorted(), ["commit", "rotation"]);
  },

  "rotations and commits at the same time never get below the policy (row 41)": async (bench) => {
    bench.setPolicy({ daily: 3, weekly: 3, monthly: 3 });
    const labels = [days(20), every("weeks", 20, "weekly"), every("months", 20, "monthly")];
    const old = put(bench, ...labels.flat());
    const stores = [bench.store, await bench.open(), await bench.open()];
    const claim = await bench.upload("content", { store: stores[2]! });
    const [first, second, { name }] = await Promise.all([
      stores[0]!.rotate({ dryRun: false }),
      stores[1]!.rotate({ dryRun: false }),
      stores[2]!.commit(claim),
    ]);
    assertEquals([...first.failed, ...second.failed], []);
    // Each archive was deleted by one of them.
    assertEquals(first.deleted.filter((name) => second.deleted.includes(name)), []);
    const kept = labels.flatMap((names) => names.slice(-3));
    const deleted = [...first.deleted, ...second.deleted];
    const left = archivesIn(bench.storage);
    assertEquals([...deleted, ...left].sort(), [...old, name].sort());
    // The new archive may have pushed out the oldest of its label.
    const pushedOut = kept.filter((archive) => !left.includes(archive));
    assertEquals(pushedOut.length <= 1 && left.includes(name), true);
    assertEquals(left.length - 1 + pushedOut.length, kept.length);
  },
};
