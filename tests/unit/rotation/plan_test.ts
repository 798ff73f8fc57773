import { assert, assertEquals } from "@std/assert";
import { labels, parseArchiveName, stampOf } from "../../../src/rotation/archive_name.ts";
import { planRotation } from "../../../src/rotation/plan.ts";
import type { Policy } from "../../../src/rotation/policy.ts";

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
  const days = ["20261030", "20261031", "20261101", "20261102"];
  const names = days.map((day) => `${day}-1200-daily.tar`);
  const times = { now, keepSince: "20261101120000" };
  assertEquals(kept(names, policyOf({ daily: 1 }, 60), times), names.slice(2));
  assertEquals(kept(names, policyOf({ daily: 1 }, 0), times), names.slice(3));
});

Deno.test("planRotation() has more than one archive of a second in the order of their names", () => {
  const names = ["", ".age", ".gz", ".zst"].map((end) => `20261101-1200-daily.tar${end}`);
  // The first of the day, and the newest.
  const expected = [names[0]!, names[3]!];
  assertEquals(kept(names, policyOf({ daily: 1 })), expected);
  assertEquals(kept(names.toReversed(), policyOf({ daily: 1 })), expected);
});

Deno.test("planRotation() keeps the first archive of each of the newest N periods", () => {
  const names = {
    hourly: ["20261123-0900", "20261123-0930", "20261123-100000", "20261123-105959"],
    daily: ["20261120-0000", "20261120-2359", "20261121-0005", "20261121-000501"],
    // Monday to Sunday, over the end of a year of 53 weeks.
    weekly: ["20201227-2359", "20201228-0000", "20210103-2359", "20210104-0000", "20210110-0000"],
    monthly: ["20260131-2359", "20260201-0000", "20260228-2359", "20260301-0000", "20260331-0000"],
    yearly: ["20241231-2359", "20250101-0000", "20251231-2359", "20260101-0000", "20260301-0000"],
  };
  const firsts = {
    hourly: ["20261123-0900", "20261123-100000"],
    daily: ["20261120-0000", "20261121-0005"],
    weekly: ["20201228-0000", "20210104-0000"],
    monthly: ["20260201-0000", "20260301-0000"],
    yearly: ["20250101-0000", "20260101-0000"],
  };
  for (const label of labels) {
    const nameOf = (time: string) => `${time}-${label}.tar`;
    const newest = names[label].slice(-2);
    assertEquals(
      kept(names[label].map(nameOf), policyOf({ [label]: 2 })),
      [...new Set([...firsts[label], ...newest])].sort().map(nameOf),
    );
  }
});

Deno.test("planRotation() says of which period an archive is the first", () => {
  const times = ["20210103-0000", "20210104-0000", "20210104-0001", "20210104-0002"];
  const reasons = {
    hourly: "first hourly of 2021-01-03 00:00, 2 of 2 hours",
    daily: "first daily of 2021-01-03, 2 of 2 days",
    weekly: "first weekly of 2020-W53, 2 of 2 weeks",
  };
  for (const [label, reason] of Object.entries(reasons)) {
    const names = times.map((time) => `${time}-${label}.tar`);
    const plan = planRotation(
      names.map((name) => parseArchiveName(name)!),
      policyOf({ [label]: 2 }),
      { now, keepSince: never },
    );
    assertEquals(plan[0]!.reason, reason);
  }
  const months = ["20201231-0000", "20210102-0000", "20210103-0000"];
  for (
    const [label, reason] of [
      ["monthly", "first monthly of 2020-12, 2 of 2 months"],
      ["yearly", "first yearly of 2020, 2 of 2 years"],
    ]
  ) {
    const names = months.map((time) => parseArchiveName(`${time}-${label}.tar`)!);
    const plan = planRotation(names, policyOf({ [label!]: 2 }), { now, keepSince: never });
    assertEquals(plan[0]!.reason, reason);
  }
});

Deno.test("row 50: more archives on one day never push out other days", () => {
  const week = [17, 18, 19, 20, 21, 22, 23].map((day) => `202611${day}-0005-daily.tar`);
  const flood = Array.from(
    { length: 100 },
    (_, second) => `20261123-11${String(second).padStart(4, "0")}-daily.tar`,
  ).filter((name) => parseArchiveName(name) !== undefined);
  assertEquals(kept([...week, ...flood], policyOf({ daily: 7 })), [...week, ...flood.slice(-7)]);
});

Deno.test("planRotation() plans 100,000 archives and leaves what the policy says", () => {
  const start = Temporal.PlainDateTime.from("2015-01-01T00:00:00");
  const names = Array.from({ length: 100_000 }, (_, hour) => {
    const stamp = stampOf(start.add({ hours: hour }));
    return `${stamp.slice(0, 8)}-${stamp.slice(8, 12)}-${labels[hour % labels.length]!}.tar`;
  });
  const policy = policyOf({ hourly: 10, daily: 10, weekly: 10, monthly: 10, yearly: 10 });
  const began = performance.now();
  // Of the hours there are no others than the newest.
  assertEquals(kept(names.toReversed(), policy).length, 5 * 10 + 4 * 10 - 2);
  const seconds = (performance.now() - began) / 1000;
  assert(seconds < 5, `it took ${seconds} s`);
});
