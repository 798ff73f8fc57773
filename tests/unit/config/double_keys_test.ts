import { assertEquals, assertStringIncludes } from "@std/assert";
import { agentSchema } from "../../../src/config/agent.ts";
import { doubleKeys } from "../../../src/config/double_keys.ts";
import { policySchema } from "../../../src/config/policy.ts";
import { faultsOf } from "./faults.ts";

const pathsIn = (text: string) => doubleKeys(text).map(({ path }) => path);

Deno.test("row 63: doubleKeys() finds keys that stand twice in one object, at any depth", () => {
  assertEquals(pathsIn('{"a": 1, "b": 2, "a": 3}'), ["a"]);
  assertEquals(pathsIn('{"a": {"b": 1, "c": {}, "b": 2}, "c": [1, {"d": 1, "d": 2}]}'), [
    "a.b",
    "c.d",
  ]);
  assertEquals(pathsIn('{"a": 1, "a": 2, "a": 3}'), ["a", "a"]);
  assertEquals(pathsIn('{"\\u0061": 1, "a": 2}'), ["a"]);
  assertEquals(doubleKeys('{"a":1,"a":2}'), [{ path: "a", offsets: [1, 7] }]);
});

Deno.test("row 63: doubleKeys() takes no value, comment or key of another object for one", () => {
  for (
    const text of [
      '{"a": "a", "b": ["a", "a", "b"]}',
      '{"a": 1, /* "a": 2, */ "b": 2 // "a": 3\n}',
      '{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]}',
      '{"a": "x\\", \\"a\\": \\"", "b": "//", "c": "/*", "d": "*/"}',
      "[]",
      '"a"',
      "{}",
    ]
  ) {
    assertEquals(pathsIn(text), [], text);
  }
});

Deno.test("row 63: a config in which a key stands twice is wrong, and both places are named", () => {
  const agent = `{
  "folders": ["/etc"], "strategy": "tar",
  "remoteFolder": "/x", // the second one
  "folders": ["/srv"]
}`;
  assertEquals(faultsOf(agent, agentSchema), [
    "line 4, column 3: folders is there for the second time, after line 2, column 3",
  ]);
  assertEquals(faultsOf('{"policy": {"daily": 7, "daily": 1}}', policySchema), [
    "line 1, column 25: policy.daily is there for the second time, after line 1, column 13",
  ]);
  // All faults at once, as ever.
  assertStringIncludes(
    faultsOf('{"policy": {"daily": 1, "daily": -1}}', policySchema).slice(1).join(),
    "policy.daily: expected a whole number",
  );
});
