import { assert, assertEquals } from "@std/assert";
import {
  type ArchiveName,
  type Label,
  labels,
  parseArchiveName,
  type Stamp,
  stampOf,
  timeOf,
} from "../../../src/rotation/archive_name.ts";
import { planRotation, type PlanTimes } from "../../../src/rotation/plan.ts";
import type { Policy } from "../../../src/rotation/policy.ts";
import { randomOf } from "../../support/random.ts";

/** What rotation promises, on calendars of all kinds, against rules that are written anew here. */

type Random = (below: number) => number;

const rounds = 400;

const namesOf = (archives: Iterable<ArchiveName>) => [...archives].map(({ name }) => name).sort();

/** Names in the order of their times; one minute with and without seconds is one time. */
const byTime = (a: ArchiveName, b: ArchiveName) =>
  `${a.stamp} ${a.name}` < `${b.stamp} ${b.name}` ? -1 : 1;

/** The first day of the period that a label's archive stands for, and for hourly also the hour. */
function periodOf({ label, stamp }: ArchiveName): string {
  const time = timeOf(stamp);
  const day = time.toPlainDate();
  switch (label) {
    case "yearly":
      return day.with({ month: 1, day: 1 }).toString();
    case "monthly":
      return day.with({ day: 1 }).toString();
    case "weekly":
      return day.subtract({ days: day.dayOfWeek - 1 }).toString();
    case "daily":
      return day.toString();
    case "hourly":
      return `${day} ${String(time.hour).padStart(2, "0")}`;
  }
}

/** What Plasma 1.0 kept: of each label the N newest names. It had no idea of the present. */
function keptByPlasma1(archives: readonly ArchiveName[], policy: Policy): ArchiveName[] {
  return labels.flatMap((label) => {
    const own = archives.filter((archive) => archive.label === label).sort(byTime);
    return own.slice(Math.max(0, own.length - (policy.counts[label] ?? Infinity)));
  });
}

/** Of a label the first archive of each period, newest period first. */
function firstsOf(archives: readonly ArchiveName[], label: Label): ArchiveName[] {
  const groups = Map.groupBy(archives.filter((archive) => archive.label === label), periodOf);
  return [...groups].sort(([a], [b]) => a < b ? 1 : -1).map(([, group]) => group.sort(byTime)[0]!);
}

/** The first archives of the periods that count. */
function firstsThatCount(present: readonly ArchiveName[], policy: Policy): ArchiveName[] {
  return labels.flatMap((label) => firstsOf(present, label).slice(0, policy.counts[label] ?? 0));
}

interface World {
  readonly archives: readonly ArchiveName[];
  readonly policy: Policy;
  readonly times: PlanTimes;
}

/** Months of runs: nights that are missed, days with many runs, clocks that jump. */
function randomWorld(random: Random): World {
  const first = Temporal.PlainDateTime.from("2019-01-01T00:00:00").add({ days: random(3000) });
  const days = 1 + random(400);
  const names = new Set<string>();
  let jump = 0;
  for (let day = 0; day < days; day++) {
    if (random(60) === 0) jump = random(2) * (random(800) - 400);
    const runs = random(3) > 0 ? 1 : random(4) > 0 ? random(3) : random(30);
    for (let run = 0; run < runs; run++) {
      const midnight = first.add({ days: day + jump });
      const time = midnight.add({ seconds: random(3) > 0 ? random(600) : random(86_400) });
      names.add(nameAt(time, random));
    }
  }
  const policy = randomPolicy(random);
  const last = first.add({ days });
  const now = stampOf(random(4) > 0 ? last : last.add({ hours: random(20_000) - 10_000 }));
  const keepSince = stampOf(timeOf(now).subtract({ seconds: policy.keepWithinSeconds }));
  const archives = shuffled([...names].map((name) => parseArchiveName(name)!), random);
  return { archives, policy, times: { now, keepSince } };
}

function nameAt(time: Temporal.PlainDateTime, random: Random): string {
  const stamp = stampOf(time);
  // As the calendar has it, or, with clocks and admins as they are, any.
  const usual = time.day === 1 ? "monthly" : time.dayOfWeek === 1 ? "weekly" : "daily";
  const label = random(3) > 0 ? usual : labels[random(labels.length)]!;
  const kind = ["tar", "tar", "tar.zst.age", "btrfs"][random(4)]!;
  return `${stamp.slice(0, 8)}-${stamp.slice(8, random(2) > 0 ? 14 : 12)}-${label}.${kind}`;
}

function randomPolicy(random: Random): Policy {
  const counts: Partial<Record<Label, number>> = {};
  for (const label of labels) {
    if (random(4) > 0) counts[label] = random(label === "hourly" ? 40 : 9);
  }
  return { counts, keepWithinSeconds: random(2) * random(60 * 86_400) };
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items.map((item) => ({ item, at: random(2 ** 30) }))
    .sort((a, b) => a.at - b.at).map(({ item }) => item);
}

function kept({ archives, policy, times }: World): ArchiveName[] {
  return planRotation(archives, policy, times)
    .filter(({ keep }) => keep).map(({ archive }) => archive);
}

function assertHolds(all: readonly ArchiveName[], some: readonly ArchiveName[], what: string) {
  const held = new Set(namesOf(all));
  assertEquals(namesOf(some).filter((name) => !held.has(name)), [], what);
}

Deno.test("rotation keeps what Plasma 1.0 did and first archives, and little else", () => {
  const random = randomOf(20261125);
  let extra = 0;
  for (let round = 0; round < rounds; round++) {
    const world = randomWorld(random);
    const { archives, policy, times } = world;
    const present = archives.filter(({ stamp }) => stamp <= times.now);
    const future = archives.filter(({ stamp }) => stamp > times.now);
    const rest = kept(world);

    const plasma1 = keptByPlasma1(archives, policy);
    assertHolds(rest, plasma1, `round ${round}: no more is deleted than by Plasma 1.0`);
    const firsts = firstsThatCount(present, policy);
    assertHolds(rest, firsts, `round ${round}: the first of a period that counts`);
    const newest = present.toSorted(byTime).slice(-1);
    assertHolds(rest, newest, `round ${round}: the newest archive`);
    assertHolds(rest, future, `round ${round}: what is dated in the future`);
    const isYoung = ({ stamp }: ArchiveName) =>
      policy.keepWithinSeconds > 0 && stamp >= times.keepSince;
    const young = present.filter(isYoung);
    assertHolds(rest, young, `round ${round}: what is within keepWithin`);

    // The rule of Plasma 1.0 without the archives that are dated in the future.
    const counted = keptByPlasma1(present, policy);
    const reasons = new Set([...counted, ...firsts, ...newest, ...future, ...young]);
    assertEquals(namesOf(rest), namesOf(reasons), `round ${round}: nothing else is kept`);
    if (new Set([...plasma1, ...firsts]).size > plasma1.length) extra++;
  }
  assert(extra > rounds / 2, `in ${extra} rounds first archives made a difference`);
});

Deno.test("a second rotation deletes nothing more", () => {
  const random = randomOf(1);
  for (let round = 0; round < rounds; round++) {
    const world = randomWorld(random);
    const once = kept(world);
    const twice = kept({ ...world, archives: shuffled(once, random) });
    assertEquals(namesOf(twice), namesOf(once), `round ${round}`);
  }
});

Deno.test("the order in which a folder is read does not matter", () => {
  const random = randomOf(2);
  for (let round = 0; round < rounds / 5; round++) {
    const world = randomWorld(random);
    const other = { ...world, archives: shuffled(world.archives, random) };
    assertEquals(namesOf(kept(other)), namesOf(kept(world)), `round ${round}`);
  }
});

Deno.test("for one run a night the rule is that of Plasma 1.0", () => {
  const random = randomOf(3);
  for (let round = 0; round < rounds / 5; round++) {
    const { policy } = randomWorld(random);
    const first = Temporal.PlainDateTime.from("2019-01-01T00:05:00").add({ days: random(3000) });
    const archives = Array.from({ length: 1 + random(400) }, (_, day) => {
      const time = first.add({ days: day });
      const label = time.dayOfYear === 1 && policy.counts.yearly
        ? "yearly"
        : time.day === 1
        ? "monthly"
        : time.dayOfWeek === 1
        ? "weekly"
        : "daily";
      const stamp = stampOf(time);
      return parseArchiveName(`${stamp.slice(0, 8)}-${stamp.slice(8, 12)}-${label}.tar`)!;
    });
    const times = { now: "99991231235959", keepSince: "99991231235959" };
    const expected = new Set([...keptByPlasma1(archives, policy), archives.at(-1)!]);
    assertEquals(namesOf(kept({ archives, policy, times })), namesOf(expected), `round ${round}`);
  }
});

/** So many archives more on one day, all after a time of day. */
function floodAt(day: Temporal.PlainDate, after: Stamp, random: Random): ArchiveName[] {
  const from = day.toString().replaceAll("-", "") === after.slice(0, 8) ? timeOf(after) : undefined;
  const start = from ?? day.toPlainDateTime();
  const seconds = Math.floor(
    start.until(day.add({ days: 1 }).toPlainDateTime(), { largestUnit: "seconds" }).seconds,
  );
  return Array.from({ length: 1 + random(40) }, () => {
    const stamp = stampOf(start.add({ seconds: random(seconds) }));
    const label = labels[random(labels.length)]!;
    return parseArchiveName(`${stamp.slice(0, 8)}-${stamp.slice(8)}-${label}.tar.xz`)!;
  });
}

function withFlood(world: World, flood: readonly ArchiveName[]): World {
  return { ...world, archives: [...world.archives, ...flood] };
}

Deno.test("row 50: more archives in periods that have some delete the first of none", () => {
  const random = randomOf(4);
  for (let round = 0; round < rounds; round++) {
    const world = randomWorld(random);
    const { archives, policy, times } = world;
    if (archives.length === 0) continue;
    const present = archives.filter(({ stamp }) => stamp <= times.now);
    const firsts = new Map(
      labels.flatMap((label) => firstsOf(archives, label))
        .map((archive) => [`${archive.label} ${periodOf(archive)}`, archive]),
    );
    const { stamp } = archives[random(archives.length)]!;
    // What comes later than the first archive of its own period, and which has one.
    const flood = floodAt(timeOf(stamp).toPlainDate(), stamp, random).filter((archive) => {
      const first = firsts.get(`${archive.label} ${periodOf(archive)}`);
      return first !== undefined && byTime(first, archive) < 0;
    });
    const rest = kept(withFlood(world, flood));
    assertHolds(rest, firstsThatCount(present, policy), `round ${round}: ${namesOf(flood)}`);
  }
});

Deno.test("row 50: a flood on one day costs no label more than its oldest period", () => {
  const random = randomOf(5);
  for (let round = 0; round < rounds; round++) {
    const world = randomWorld(random);
    const { archives, policy, times } = world;
    if (archives.length === 0) continue;
    const present = archives.filter(({ stamp }) => stamp <= times.now);
    const day = timeOf(archives[random(archives.length)]!.stamp).toPlainDate()
      .add({ days: random(3) - 1 });
    const flood = floodAt(day, "", random);
    const flooded = new Set(flood.map((archive) => `${archive.label} ${periodOf(archive)}`));
    const rest = kept(withFlood(world, flood));
    for (const label of labels) {
      const periodsOfDay = label === "hourly" ? 24 : 1;
      const count = Math.max(0, (policy.counts[label] ?? 0) - periodsOfDay);
      const safe = firstsOf(present, label).slice(0, count)
        .filter((archive) => !flooded.has(`${label} ${periodOf(archive)}`));
      assertHolds(rest, safe, `round ${round}, ${label}, flood on ${day}`);
    }
    const isYoung = ({ stamp }: ArchiveName) =>
      policy.keepWithinSeconds > 0 && stamp >= times.keepSince;
    assertHolds(rest, present.filter(isYoung), `round ${round}: within keepWithin`);
  }
});
