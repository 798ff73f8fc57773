import { assert, assertEquals } from "@std/assert";
import { parseConfig } from "../../../src/config/load.ts";
import { defaultPolicyText, policySchema } from "../../../src/config/policy.ts";
import { bytesOf, faultsOf } from "./faults.ts";

const parse = (content: unknown) => parseConfig("file.json", bytesOf(content), policySchema);
const faults = (policy: unknown) => faultsOf({ policy }, policySchema);

const count = "expected a whole number of archives, 0 or more";

Deno.test("the policy of Plasma 1.0 means what it meant", () => {
  assertEquals(parse(`{"policy": {"daily": 5, "weekly": 3, "monthly": 2}}`), {
    counts: { daily: 5, weekly: 3, monthly: 2 },
    keepWithinSeconds: 0,
  });
});

Deno.test("a policy can name every label and keepWithin", () => {
  const counts = { hourly: 48, daily: 7, weekly: 4, monthly: 12, yearly: 10 };
  assertEquals(parse({ policy: { ...counts, keepWithin: "14d" } }), {
    counts,
    keepWithinSeconds: 14 * 86_400,
  });
});

Deno.test("a label that a policy does not name is not one that it keeps 0 of", () => {
  assertEquals(parse({ policy: { daily: 5, weekly: 0 } }).counts, { daily: 5, weekly: 0 });
});

Deno.test("a new storage folder's policy is a policy", () => {
  assertEquals(parse(defaultPolicyText), {
    counts: { daily: 7, weekly: 4, monthly: 6 },
    keepWithinSeconds: 14 * 86_400,
  });
});

Deno.test("a policy takes whole numbers and nothing else", () => {
  for (const value of ["5", 2.5, true, null, [], [5], {}, -1]) {
    assertEquals(faults({ daily: value, weekly: 1 }), [
      `policy.daily: ${count}, got ${JSON.stringify(value)}`,
    ]);
  }
  assertEquals(faultsOf(`{"policy": {"daily": 1e99}}`, policySchema), [
    "policy.daily: expected a whole number of archives, at most 1000000, got 1e+99",
  ]);
  assertEquals(faults({ daily: 1_000_001 }).length, 1);
  assertEquals(parse({ policy: { daily: 1_000_000 } }).counts, { daily: 1_000_000 });
});

Deno.test("a policy in which nothing is kept is refused", () => {
  const expected =
    "policy: expected at least one of yearly, monthly, weekly, daily, hourly above 0";
  assertEquals(faults({}), [`${expected}, got {}`]);
  assertEquals(faults({ daily: 0, weekly: 0 }), [`${expected}, got {"daily":0,"weekly":0}`]);
  assertEquals(faults({ keepWithin: "2w" }), [`${expected}, got {"keepWithin":"2w"}`]);
});

Deno.test("a policy's keepWithin is a duration", () => {
  for (const value of ["", "5", "d", "-1d", "1.5d", "soon", 14, null]) {
    assertEquals(faults({ daily: 1, keepWithin: value }), [
      `policy.keepWithin: expected a duration such as "14d", got ${JSON.stringify(value)}`,
    ]);
  }
});

Deno.test("all faults of a policy are told at once, with the nearest key for an unknown one", () => {
  assertEquals(faults({ dayly: 5, weekly: -3, monthly: "2", never: 1 }), [
    `policy.dayly: unknown key; did you mean "daily"?`,
    "policy.never: unknown key; known here: hourly, daily, weekly, monthly, yearly, keepWithin",
    `policy.weekly: ${count}, got -3`,
    `policy.monthly: ${count}, got "2"`,
  ]);
  assertEquals(faultsOf({ Policy: { daily: 5 } }, policySchema), [
    `Policy: unknown key; did you mean "policy"?`,
    "policy: missing",
  ]);
});

Deno.test("a policy is an object", () => {
  for (const value of [null, 5, "daily", true, [], [5, 3, 2], [{ daily: 5 }]]) {
    const [fault] = faults(value);
    assert(fault?.startsWith("policy: expected an object"), `${JSON.stringify(value)}: ${fault}`);
  }
});
