import { assert, assertEquals } from "@std/assert";
import {
  type ArchiveName,
  compareArchives,
  type Label,
  labels,
  parseArchiveName,
  stampOf,
} from "../../../src/rotation/archive_name.ts";
import { type Decision, planRotation } from "../../../src/rotation/plan.ts";
import type { Policy } from "../../../src/rotation/policy.ts";
import { randomOf } from "../../support/random.ts";

const never = "99991231235959";
const now = "20261123120000";

const policyOf = (counts: Policy["counts"], keepWithinSeconds = 0): Policy => ({
  counts,
  keepWithinSeconds,
});

/** The names that a plan keeps, oldest first. */
function kept(names: readonly string[], policy: Policy, times = { now, keepSince: never }) {
  return planRotation(names.map((name) => parseArchiveName(name)!), policy, times)
    .filter(({ keep }) => keep).map(({ archive }) => archive.name);
}

Deno.test("planRotation() keeps the newest of each label on its own", () => {
  const names = [
    "20261001-0000-monthly.tar",
    "20261101-0000-monthly.tar",
    "20261116-0000-weekly.tar",
    "20261119-0000-daily.tar",
    "20261120-0000-daily.tar.zst",
    "20261121-0000-daily.tar",
    "20261123-0000-weekly.tar",
  ];
  assertEquals(kept(names, policyOf({ daily: 2, weekly: 1, monthly: 1 })), [
    "20261101-0000-monthly.tar",
    "20261120-0000-daily.tar.zst",
    "20261121-0000-daily.tar",
    "20261123-0000-weekly.tar",
  ]);
});

Deno.test("planRotation() says for each archive why, oldest first", () => {
  const names = [
    "20300101-0000-daily.tar",
    "20261122-0000-daily.tar",
    "20261121-0000-daily.tar",
    "20261120-0000-hourly.tar",
    "20261123-0000-weekly.tar",
    "20261101-0000-daily.tar",
  ];
  const decisions = planRotation(
    names.map((name) => parseArchiveName(name)!),
    policyOf({ daily: 1, weekly: 0 }, 1),
    { now, keepSince: "20261121000000" },
  );
  assertEquals(
    decisions.map(({ archive, keep, reason, future }) => [archive.name, keep, reason, future]),
    [
      ["20261101-0000-daily.tar", false, "more than 1 daily", false],
      ["20261120-0000-hourly.tar", true, "the policy does not name hourly", false],
      ["20261121-0000-daily.tar", true, "within keepWithin", false],
      ["20261122-0000-daily.tar", true, "daily 1 of 1", false],
      ["20261123-0000-weekly.tar", true, "the newest archive is never deleted", false],
      ["20300101-0000-daily.tar", true, "dated in the future, not counted", true],
    ],
  );
});

Deno.test("planRotation() never deletes the only archive", () => {
  assertEquals(kept(["20200101-0000-daily.tar"], policyOf({ daily: 0, weekly: 1 })), [
    "20200101-0000-daily.tar",
  ]);
  assertEquals(kept([], policyOf({ daily: 1 })), []);
});

Deno.test("planRotation() deletes nothing on account of archives dated in the future", () => {
  const past = ["20261121-0000-daily.tar", "20261122-0000-daily.tar"];
  const future = ["20261124-0000-daily.tar", "20991231-0000-daily.tar"];
  assertEquals(kept([...past, ...future], policyOf({ daily: 2 })), [...past, ...future]);
  // The newest archive is the newest of the present.
  assertEquals(kept([...past, ...future], policyOf({ daily: 0, weekly: 1 })), [
    past[1]!,
    ...future,
  ]);
});

Deno.test("planRotation() takes an archive of this very second for a present one", () => {
  const decisions = planRotation(
    [
      parseArchiveName("20261123-120000-daily.tar")!,
      parseArchiveName("20261123-120001-daily.tar")!,
    ],
    policyOf({ daily: 1 }),
    { now, keepSince: never },
  );
  assertEquals(decisions.map(({ future }) => future), [false, true]);
});

Deno.test("planRotation() keeps what is at or after keepSince, and only that", () => {
  const names = ["1200", "1201", "1202", "1203"].map((time) => `20261101-${time}-daily.tar`);
  const times = { now, keepSince: "20261101120200" };
  assertEquals(kept(names, policyOf({ daily: 1 }, 60), times), names.slice(2));
  assertEquals(kept(names, policyOf({ daily: 1 }, 0), times), names.slice(3));
});

Deno.test("planRotation() has more than one archive of a second in the order of their names", () => {
  const names = ["20261101-1200-daily.tar", "20261101-1200-daily.tar.zst"];
  assertEquals(kept(names, policyOf({ daily: 1 })), [names[1]!]);
  assertEquals(kept(names.toReversed(), policyOf({ daily: 1 })), [names[1]!]);
});

/** Some archives around `now`, some labels more than others, some in one second. */
function randomArchives(random: (below: number) => number): ArchiveName[] {
  const base = Temporal.PlainDateTime.from("2026-11-23T12:00:00");
  const names = new Set<string>();
  for (let count = random(60); count > 0; count--) {
    const stamp = stampOf(base.subtract({ hours: random(900) }).add({ hours: random(50) }));
    const label = labels[random(labels.length)]!;
    names.add(`${stamp.slice(0, 8)}-${stamp.slice(8)}-${label}.tar`);
  }
  return [...names].map((name) => parseArchiveName(name)!);
}

function randomPolicy(random: (below: number) => number): Policy {
  const counts: Partial<Record<Label, number>> = {};
  for (const label of labels) if (random(3) > 0) counts[label] = random(6);
  return policyOf(counts, random(2) * 86_400);
}

Deno.test("planRotation() holds its promises whatever the archives and the policy are", () => {
  const random = randomOf(20261123);
  for (let round = 0; round < 2000; round++) {
    const archives = randomArchives(random);
    const policy = randomPolicy(random);
    const keepSince = `202611${String(1 + random(23)).padStart(2, "0")}000000`;
    const plan = planRotation(archives, policy, { now, keepSince });
    const what = `round ${round}`;

    const names = (some: readonly ArchiveName[]) => some.map(({ name }) => name);
    const sorted = archives.toSorted(compareArchives);
    assertEquals(names(plan.map(({ archive }) => archive)), names(sorted), what);
    checkDecisions(plan, policy, keepSince, what);
  }
});

function checkDecisions(plan: Decision[], policy: Policy, keepSince: string, what: string) {
  const present = plan.filter(({ archive }) => archive.stamp <= now);
  assert(present.length === 0 || present.at(-1)!.keep, `${what}: the newest is kept`);
  for (const label of labels) {
    const limit = policy.counts[label] ?? Infinity;
    const own = present.filter(({ archive }) => archive.label === label);
    const promised = own.slice(Math.max(0, own.length - limit));
    assert(promised.every(({ keep }) => keep), `${what}: the policy's number of ${label} is kept`);
  }
  for (const { archive, keep, future } of plan) {
    const { stamp, label, name } = archive;
    assertEquals(future, stamp > now, `${what}: ${name}`);
    const isYoung = policy.keepWithinSeconds > 0 && stamp >= keepSince;
    const isForever = future || isYoung || policy.counts[label] === undefined;
    if (isForever) assert(keep, `${what}: ${name} is kept`);
  }
  // Nothing is kept without a reason.
  for (const { archive, keep } of present.slice(0, -1)) {
    const { stamp, label } = archive;
    const limit = policy.counts[label];
    if (!keep || limit === undefined) continue;
    const newer = present.filter((other) =>
      other.archive.label === label && compareArchives(other.archive, archive) > 0
    );
    const isYoung = policy.keepWithinSeconds > 0 && stamp >= keepSince;
    assert(newer.length < limit || isYoung, `${what}: ${archive.name} need not be kept`);
  }
}

Deno.test("planRotation() plans 100,000 archives and leaves what the policy says", () => {
  const start = Temporal.PlainDateTime.from("2015-01-01T00:00:00");
  const names = Array.from({ length: 100_000 }, (_, hour) => {
    const stamp = stampOf(start.add({ hours: hour }));
    return `${stamp.slice(0, 8)}-${stamp.slice(8, 12)}-${labels[hour % labels.length]!}.tar`;
  });
  const policy = policyOf({ hourly: 10, daily: 10, weekly: 10, monthly: 10, yearly: 10 });
  assertEquals(kept(names.toReversed(), policy).length, 50);
});
