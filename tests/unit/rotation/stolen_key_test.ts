import { assert, assertEquals } from "@std/assert";
import {
  type ArchiveName,
  formatArchiveName,
  type Label,
  parseArchiveName,
  type Stamp,
  stampOf,
  timeOf,
} from "../../../src/rotation/archive_name.ts";
import { labelFor } from "../../../src/rotation/label.ts";
import { planRotation } from "../../../src/rotation/plan.ts";
import type { Policy } from "../../../src/rotation/policy.ts";
import { randomOf } from "../../support/random.ts";

/**
 * What docs and README say that a stolen key can do to old archives, played through: a server that
 * stores at 0:05 every night, and a thief who adds archives as he likes, from some day on.
 */

/** At which times of a day the thief stores. */
type Thief = (random: (below: number) => number) => readonly Temporal.PlainTime[];

const clock = (hour: number, minute = 0, second = 0) =>
  new Temporal.PlainTime(hour, minute, second);
const seconds = (from: Temporal.PlainTime, count: number) =>
  Array.from({ length: count }, (_, second) => from.add({ seconds: second }));

const thieves: Readonly<Record<string, Thief>> = {
  "none": () => [],
  "seven in seven seconds": () => seconds(clock(15), 7),
  "one before the real one": () => [clock(0)],
  "one an hour, and before the real one": () =>
    Array.from({ length: 24 }, (_, hour) => clock(hour)),
  // On a Monday the first becomes the weekly archive and the second the first daily one.
  "some before the real one, and many after": () => [
    ...seconds(clock(0), 3),
    ...seconds(clock(0, 6), 8),
  ],
  "as it comes": (random) =>
    Array.from({ length: random(20) }, () => clock(random(24), random(60), random(60))),
};

interface History {
  /** The real archives, each with the time at which it was found to be deleted. */
  readonly stored: readonly { archive: ArchiveName; deleted: Stamp | undefined }[];
  /** When the thief began. */
  readonly theft: Stamp;
  readonly end: Stamp;
}

/** Whoever stores has the folder rotated afterwards, and also at noon it is. */
function play(policy: Policy, thief: Thief, { days = 320, theftAfter = 120, seed = 1 }): History {
  const random = randomOf(seed);
  const first = Temporal.PlainDate.from("2023-06-01").add({ days: random(700) });
  let present: ArchiveName[] = [];
  const real = new Set<string>();
  const stored: { archive: ArchiveName; deleted: Stamp | undefined }[] = [];

  const store = (now: Temporal.PlainDateTime): ArchiveName => {
    const stamp = stampOf(now);
    const label = labelFor(now, present.map((archive) => archive.stamp), policy);
    const archive = parseArchiveName(formatArchiveName({ stamp, label, kind: "tar" }, true))!;
    present.push(archive);
    return archive;
  };
  const rotate = (now: Temporal.PlainDateTime) => {
    const keepSince = stampOf(now.subtract({ seconds: policy.keepWithinSeconds }));
    const plan = planRotation(present, policy, { now: stampOf(now), keepSince });
    present = plan.filter(({ keep }) => keep).map(({ archive }) => archive);
    for (const { archive, keep } of plan) {
      if (keep || !real.has(archive.name)) continue;
      stored.find((entry) => entry.archive === archive)!.deleted = stampOf(now);
    }
  };
  for (let day = 0; day < days; day++) {
    const date = first.add({ days: day });
    const fakes = day < theftAfter ? [] : thief(random);
    const times = [
      ...fakes.map((time) => ({ time, isReal: false })),
      { time: clock(0, 5), isReal: true },
    ].sort((a, b) => Temporal.PlainTime.compare(a.time, b.time));
    for (const { time, isReal } of times) {
      const now = date.toPlainDateTime(time);
      const archive = store(now);
      if (isReal) {
        real.add(archive.name);
        stored.push({ archive, deleted: undefined });
      }
      rotate(now);
    }
    rotate(date.toPlainDateTime(clock(12)));
  }
  const theft = first.add({ days: theftAfter }).toPlainDateTime();
  return { stored, theft: stampOf(theft), end: stampOf(first.add({ days }).toPlainDateTime()) };
}

/** The end of the N-th period from that of an archive on, its own being the first. */
function endOfPeriods({ label, stamp }: ArchiveName, count: number): Stamp {
  const time = timeOf(stamp);
  const day = time.toPlainDate();
  const ends: Record<Label, () => Temporal.PlainDateTime> = {
    yearly: () => day.with({ month: 1, day: 1 }).add({ years: count }).toPlainDateTime(),
    monthly: () => day.with({ day: 1 }).add({ months: count }).toPlainDateTime(),
    weekly: () => day.add({ weeks: count, days: 1 - day.dayOfWeek }).toPlainDateTime(),
    daily: () => day.add({ days: count }).toPlainDateTime(),
    hourly: () => day.toPlainDateTime(clock(time.hour)).add({ hours: count }),
  };
  return stampOf(ends[label]());
}

const counts = { daily: 7, weekly: 4, monthly: 6 };
const policies: Readonly<Record<string, Policy>> = {
  "that of plasma init": { counts, keepWithinSeconds: 14 * 86_400 },
  "without keepWithin": { counts, keepWithinSeconds: 0 },
  "with hourly": { counts: { ...counts, hourly: 24, yearly: 2 }, keepWithinSeconds: 0 },
  "little": { counts: { daily: 1, weekly: 1 }, keepWithinSeconds: 2 * 86_400 },
};

const worlds = Object.entries(policies).flatMap(([policyName, policy]) =>
  Object.entries(thieves).map(([thiefName, thief]) => ({
    what: `policy ${policyName}, thief: ${thiefName}`,
    policy,
    history: play(policy, thief, {}),
  }))
);

Deno.test("row 50: what was stored before a theft lasts as long as the policy says", () => {
  for (const { what, policy, history: { stored, theft } } of worlds) {
    const before = stored.filter(({ archive }) => archive.stamp < theft);
    assert(before.length > 100);
    for (const { archive, deleted } of before) {
      const promised = endOfPeriods(archive, policy.counts[archive.label] ?? 0);
      const isGoneEarly = deleted !== undefined && deleted < promised;
      assert(!isGoneEarly, `${what}: ${archive.name} was gone at ${deleted}, before ${promised}`);
    }
  }
});

Deno.test("row 50: nothing younger than keepWithin is lost, whoever stored what before it", () => {
  for (const { what, policy, history: { stored } } of worlds) {
    for (const { archive, deleted } of stored) {
      if (deleted === undefined) continue;
      const promised = stampOf(timeOf(archive.stamp).add({ seconds: policy.keepWithinSeconds }));
      assert(deleted > promised, `${what}: ${archive.name} was gone at ${deleted}`);
    }
  }
});

Deno.test("row 50: with the policy of plasma init one has five months for a good archive", () => {
  const policy = policies["that of plasma init"]!;
  for (const [name, thief] of Object.entries(thieves)) {
    for (const seed of [3, 4]) {
      const { stored, theft } = play(policy, thief, { seed, days: 280, theftAfter: 120 });
      const until = stampOf(timeOf(theft).add({ months: 5 }));
      const good = stored.filter(({ archive, deleted }) =>
        archive.stamp < theft && (deleted === undefined || deleted > until)
      );
      assert(good.length > 0, `${name}, seed ${seed}: nothing from before ${theft} at ${until}`);
    }
  }
});

Deno.test("row 50: what a key can do is not less than what is documented", () => {
  const worst = thieves["some before the real one, and many after"]!;
  const isGoneTheSameDay = (entry: History["stored"][number]) =>
    entry.deleted?.slice(0, 8) === entry.archive.stamp.slice(0, 8);

  // Without keepWithin, what is stored after the theft may be gone at once ...
  const without = play(policies["without keepWithin"]!, worst, { seed: 6 });
  const after = without.stored.filter(({ archive }) => archive.stamp > without.theft);
  assertEquals(after.filter(isGoneTheSameDay).length, after.length);

  // ... and with it after 14 days: none of it becomes a weekly or monthly archive.
  const { stored, theft, end } = play(policies["that of plasma init"]!, worst, { seed: 6 });
  const limit = stampOf(timeOf(end).subtract({ days: 15 }));
  const late = stored.filter(({ archive }) => archive.stamp > theft && archive.stamp < limit);
  assert(late.length > 100);
  assertEquals(late.filter(({ deleted }) => deleted === undefined), []);
});
