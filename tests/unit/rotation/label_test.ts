import { assertEquals } from "@std/assert";
import {
  type Label,
  parseArchiveName,
  type Stamp,
  stampOf,
} from "../../../src/rotation/archive_name.ts";
import { labelFor } from "../../../src/rotation/label.ts";
import { planRotation } from "../../../src/rotation/plan.ts";
import type { Policy } from "../../../src/rotation/policy.ts";

const policyOf = (counts: Policy["counts"]): Policy => ({ counts, keepWithinSeconds: 0 });

const usual = policyOf({ daily: 5, weekly: 3, monthly: 2 });
const full = policyOf({ hourly: 24, daily: 7, weekly: 4, monthly: 12, yearly: 3 });

/** A folder that keeps all its archives and is asked for the label of each new one. */
class Folder {
  readonly stamps: Stamp[] = [];

  constructor(readonly policy: Policy) {}

  commit(time: string | Temporal.PlainDateTime): Label {
    const now = Temporal.PlainDateTime.from(time);
    const label = labelFor(now, this.stamps, this.policy);
    this.stamps.push(stampOf(now));
    return label;
  }
}

/** Label runs at the given times in a fresh folder. */
function labelsOf(policy: Policy, ...times: string[]): Label[] {
  const folder = new Folder(policy);
  return times.map((time) => folder.commit(time));
}

Deno.test("labelFor() is the rule of Plasma 1.0 for a machine that runs every night", () => {
  const folder = new Folder(usual);
  for (let night = 0; night < 15 * 366; night++) {
    // Date counts days and weekdays on its own.
    const date = new Date(Date.UTC(2015, 5, 17 + night));
    const rule = date.getUTCDate() === 1 ? "monthly" : date.getUTCDay() === 1 ? "weekly" : "daily";
    const day = date.toISOString().slice(0, 10);
    assertEquals(folder.commit(`${day}T00:00:0${night % 10}`), rule, day);
  }
});

Deno.test("labelFor() is that rule also when rotation deletes every night", () => {
  const kinds: { name: string; label: Label }[] = [];
  let names: string[] = [];
  for (let night = 0; night < 3 * 366; night++) {
    const now = Temporal.PlainDateTime.from("2022-11-30T01:30:00").add({ days: night });
    const archives = names.map((name) => parseArchiveName(name)!);
    const label = labelFor(now, archives.map(({ stamp }) => stamp), usual);
    const rule = now.day === 1 ? "monthly" : now.dayOfWeek === 1 ? "weekly" : "daily";
    assertEquals(label, rule, now.toString());
    const name = `${stampOf(now).slice(0, 8)}-0130-${label}.tar`;
    kinds.push({ name, label });
    const times = { now: stampOf(now), keepSince: stampOf(now) };
    names = planRotation([...archives, parseArchiveName(name)!], usual, times)
      .filter(({ keep }) => keep).map(({ archive }) => archive.name);
  }
  // What is left is the newest five, three and two of all that ever were.
  const newest = (label: Label, count: number) =>
    kinds.filter((kind) => kind.label === label).slice(-count).map(({ name }) => name);
  const expected = [...newest("daily", 5), ...newest("weekly", 3), ...newest("monthly", 2)].sort();
  assertEquals(names.sort(), expected);
});

Deno.test("labelFor() gives yearly on 1 January where the policy keeps yearly ones", () => {
  const folder = new Folder(policyOf({ daily: 5, weekly: 3, monthly: 2, yearly: 1 }));
  for (let night = 0; night < 5 * 366; night++) {
    const date = new Date(Date.UTC(2021, 2, 3 + night));
    const [month, day] = [date.getUTCMonth(), date.getUTCDate()];
    const rule = day === 1
      ? month === 0 ? "yearly" : "monthly"
      : date.getUTCDay() === 1
      ? "weekly"
      : "daily";
    const text = date.toISOString().slice(0, 10);
    assertEquals(folder.commit(`${text}T23:59:59`), rule, text);
  }
});

Deno.test("labelFor() gives a new folder the label of the calendar day", () => {
  assertEquals(labelsOf(usual, "2026-11-24T10:00"), ["daily"]); // a Tuesday
  assertEquals(labelsOf(usual, "2026-11-23T10:00"), ["weekly"]); // a Monday
  assertEquals(labelsOf(usual, "2026-12-01T10:00"), ["monthly"]);
  assertEquals(labelsOf(full, "2027-01-01T10:00"), ["yearly"]);
  assertEquals(labelsOf(usual, "2027-01-01T10:00"), ["monthly"]);
});

Deno.test("labelFor() makes up for a machine that was off on the first day of a period", () => {
  assertEquals(
    labelsOf(usual, "2026-10-20T00:00", "2026-11-03T00:00", "2026-11-04T00:00"),
    ["daily", "monthly", "daily"],
  );
  assertEquals(
    labelsOf(usual, "2026-11-11T00:00", "2026-11-18T00:00", "2026-11-19T00:00"),
    ["daily", "weekly", "daily"],
  );
  assertEquals(labelsOf(full, "2025-12-30T00:00", "2026-03-10T00:00"), ["daily", "yearly"]);
  // Off for three months: one monthly, not three.
  assertEquals(
    labelsOf(usual, "2026-05-13T00:00", "2026-08-20T00:00", "2026-08-21T00:00"),
    ["daily", "monthly", "daily"],
  );
});

Deno.test("labelFor() does not promote in the period in which the folder came into use", () => {
  assertEquals(
    labelsOf(usual, "2026-11-10T00:00", "2026-11-11T00:00", "2026-11-16T00:00"),
    ["daily", "daily", "weekly"],
  );
});

Deno.test("labelFor() gives a period no second archive, however often it runs", () => {
  assertEquals(
    labelsOf(usual, "2026-11-30T00:00", "2026-12-01T00:00", "2026-12-01T12:00", "2026-12-01T23:59"),
    ["weekly", "monthly", "daily", "daily"],
  );
  assertEquals(
    labelsOf(usual, "2026-11-23T00:00", "2026-11-23T00:00", "2026-11-23T23:59:59"),
    ["weekly", "daily", "daily"],
  );
  assertEquals(
    labelsOf(full, "2026-12-31T00:00", "2027-01-01T00:00", "2027-01-01T01:00"),
    ["daily", "yearly", "hourly"],
  );
});

Deno.test("labelFor() passes over tiers that the policy does not keep", () => {
  const onlyDaily = policyOf({ daily: 5 });
  assertEquals(labelsOf(onlyDaily, "2026-11-23T00:00", "2026-12-01T00:00"), ["daily", "daily"]);
  const noMonthly = policyOf({ daily: 5, weekly: 3, monthly: 0 });
  assertEquals(labelsOf(noMonthly, "2026-11-30T00:00", "2026-12-01T00:00"), ["weekly", "daily"]);
  assertEquals(labelsOf(noMonthly, "2026-06-01T00:00"), ["weekly"]); // a Monday
  assertEquals(labelsOf(policyOf({ monthly: 5 }), "2026-11-23T00:00"), ["daily"]);
  assertEquals(labelsOf(policyOf({ daily: 5, yearly: 0 }), "2027-01-01T00:00"), ["daily"]);
});

Deno.test("labelFor() gives hourly to all but the first archive of a day, where it is kept", () => {
  assertEquals(
    labelsOf(full, "2026-11-24T00:00", "2026-11-24T00:30", "2026-11-24T23:59", "2026-11-25T00:00"),
    ["daily", "hourly", "hourly", "daily"],
  );
  const noDaily = policyOf({ hourly: 24, weekly: 4 });
  assertEquals(
    labelsOf(noDaily, "2026-11-22T00:00", "2026-11-23T00:00", "2026-11-24T00:00"),
    ["hourly", "weekly", "hourly"],
  );
  assertEquals(
    labelsOf(policyOf({ daily: 3, hourly: 0 }), "2026-11-24T00:00", "2026-11-24T01:00"),
    ["daily", "daily"],
  );
});

Deno.test("labelFor() knows that ISO weeks cross the edges of months and years (row 35)", () => {
  // Monday 28 December 2026 to Sunday 3 January 2027 is week 53.
  assertEquals(
    labelsOf(
      usual,
      "2026-12-27T00:00",
      "2026-12-28T00:00",
      "2027-01-01T00:00",
      "2027-01-03T00:00",
      "2027-01-04T00:00",
    ),
    ["daily", "weekly", "monthly", "daily", "weekly"],
  );
  // Off since Wednesday of that week, back on Saturday: the month's first, not the week's.
  assertEquals(
    labelsOf(usual, "2026-12-30T00:00", "2027-01-02T00:00", "2027-01-03T00:00"),
    ["daily", "monthly", "daily"],
  );
  // Monday 1 June 2026: the month's; the week has its archive with it.
  assertEquals(
    labelsOf(usual, "2026-05-31T00:00", "2026-06-01T00:00", "2026-06-02T00:00"),
    ["daily", "monthly", "daily"],
  );
});

Deno.test("labelFor() tells the last second of a period from the first one (row 35)", () => {
  assertEquals(
    labelsOf(usual, "2026-11-29T00:00", "2026-11-30T23:59:59", "2026-12-01T00:00:00"),
    ["daily", "weekly", "monthly"],
  );
  assertEquals(
    labelsOf(usual, "2024-02-28T00:00", "2024-02-29T23:59:59", "2024-03-01T00:00:00"),
    ["daily", "daily", "monthly"],
  );
});

Deno.test("labelFor() does not look at archives dated in the future", () => {
  const now = Temporal.PlainDateTime.from("2026-12-03T00:00");
  const past = "20261120000000";
  assertEquals(labelFor(now, [past, "20261210000000", "20300101000000"], usual), "monthly");
  assertEquals(labelFor(now, ["20300101000000"], usual), "daily");
});

Deno.test("labelFor() does not depend on the order of the archives", () => {
  const now = Temporal.PlainDateTime.from("2026-12-03T00:00");
  const stamps = ["20261120000000", "20261202000000", "20260101000000"];
  assertEquals(labelFor(now, stamps, usual), "daily");
  assertEquals(labelFor(now, stamps.toReversed(), usual), "daily");
  assertEquals(labelFor(now, stamps.toSorted(), usual), "daily");
});

Deno.test("labelFor() gives one label per archive when the clock repeats an hour (row 35)", () => {
  const folder = new Folder(full);
  folder.commit("2026-10-24T00:00");
  assertEquals(folder.commit("2026-10-25T02:30"), "daily");
  assertEquals(folder.commit("2026-10-25T02:30"), "hourly");
});
