import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { agentSchema } from "../../../src/config/agent.ts";
import { ConfigError, isNear, loadConfig, parseConfig } from "../../../src/config/load.ts";
import { policySchema } from "../../../src/config/policy.ts";
import { describeError, UsageError } from "../../../src/errors.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { sh } from "../../support/sh.ts";
import { bytesOf, faultsOf } from "./faults.ts";

const parsePolicy = (content: string | Uint8Array) =>
  parseConfig("file.json", bytesOf(content), policySchema).counts;

Deno.test("parseConfig() accepts comments, trailing commas and a byte order mark", () => {
  const text = `// head
    { /* a
         block */
      "policy": { "daily": 5, // not "weekly": 7
        "monthly": 2, },
    }
    // foot`;
  assertEquals(parsePolicy(text), { daily: 5, monthly: 2 });
  assertEquals(parsePolicy("\ufeff" + text), { daily: 5, monthly: 2 });
  assertEquals(parsePolicy(text.replaceAll("\n", "\r\n")), { daily: 5, monthly: 2 });
});

Deno.test("parseConfig() leaves what only looks like a comment in a string alone", () => {
  const text = `{"exclude": ["/a//b", "/c/*d*/", "/e,]"],
    "folders": [], "strategy": "noop", "remoteFolder": "/x"}`;
  const config = parseConfig("file.json", bytesOf(text), agentSchema);
  assertEquals(config.exclude, ["/a//b", "/c/*d*/", "/e,]"]);
});

Deno.test("parseConfig() names line and column of bad syntax", () => {
  assertEquals(faultsOf("", policySchema), ["line 1, column 1: the file is empty"]);
  assertEquals(faultsOf(" \n\n", policySchema), ["line 1, column 1: the file is empty"]);
  assertEquals(faultsOf(`{\n  "policy": {\n    "daily": 5 ]}`, policySchema), [
    `line 3, column 16: unexpected "]"`,
  ]);
  assertEquals(faultsOf(`{"policy"\n: yes}`, policySchema), [`line 2, column 3: unexpected "yes"`]);
  assertEquals(faultsOf(`{"policy": {}} {}`, policySchema), [`line 1, column 16: unexpected "{"`]);
});

Deno.test("parseConfig() says where a file ends too early", () => {
  for (
    const text of [`{"policy": {"daily": 5`, `{"policy": "daily`, `{\n"policy": {"daily": 5 /*`]
  ) {
    const [fault, ...more] = faultsOf(text, policySchema);
    assertEquals(more, []);
    assertStringIncludes(fault!, `line ${text.split("\n").length}, column `);
  }
});

Deno.test("parseConfig() names line and column of a NUL and of what is not UTF-8", () => {
  assertEquals(faultsOf(`{\n "policy\0": {}}`, policySchema), [
    "line 2, column 9: a NUL character",
  ]);
  const bytes = bytesOf(`{\n "policy": {"daily": 5}}`);
  bytes[6] = 0xff;
  assertEquals(faultsOf(bytes, policySchema), ["line 2, column 5: not valid UTF-8"]);
  const cut = bytesOf(`{"ä": "ö`).slice(0, -1);
  assertEquals(faultsOf(cut, policySchema), ["line 1, column 8: not valid UTF-8"]);
});

Deno.test("parseConfig() finds bad UTF-8 behind a replacement character that is meant", () => {
  const bytes = bytesOf(`{\n// \ufffd\n "x": "?"}`);
  bytes[bytes.indexOf(0x3f)] = 0xff;
  assertEquals(faultsOf(bytes, policySchema), ["line 3, column 8: not valid UTF-8"]);
});

Deno.test("parseConfig() refuses every value that is no object", () => {
  for (const text of ["null", "5", "true", `"policy"`, "[]", `[{"policy": {"daily": 5}}]`]) {
    const [fault] = faultsOf(text, policySchema);
    assertStringIncludes(fault!, "expected an object", text);
  }
});

Deno.test("parseConfig() is not led astray by keys of JavaScript's own", () => {
  assertEquals(faultsOf(`{"policy": {"daily": 1, "constructor": 5}}`, policySchema), [
    "policy.constructor: unknown key; known here: " +
    "hourly, daily, weekly, monthly, yearly, keepWithin",
  ]);
  const [fault] = faultsOf(`{"policy": {"daily": 1, "__proto__": {"weekly": 5}}}`, policySchema);
  assertStringIncludes(fault!, "policy.__proto__: unknown key");
});

Deno.test("ConfigError tells file, first fault, how many there are more, and has status 2", () => {
  const error = new ConfigError("/etc/x.json", ["a: missing", "b: missing", "c: missing"]);
  assertEquals(
    describeError(error),
    "config: /etc/x.json: a: missing (and 2 more, see above); nothing was run",
  );
  assertEquals(error.status, 2);
});

Deno.test("loadConfig() reads a file", async () => {
  using folder = new TemporaryFolder();
  const file = folder.write("policy", `{"policy": {"daily": 5}}`);
  assertEquals((await loadConfig(file, policySchema)).counts, { daily: 5 });
});

Deno.test("loadConfig() refuses what is no readable file, with status 2", async () => {
  using folder = new TemporaryFolder();
  await sh("mkfifo", folder.at("fifo"));
  Deno.symlinkSync("nowhere", folder.at("dangling"));
  folder.write("large", " ".repeat((1 << 20) + 1));
  const faults: Record<string, string> = {
    "": "is not a regular file",
    fifo: "is not a regular file",
    dangling: "it does not exist",
    missing: "it does not exist",
    "large/below": "a part of the path is not a folder",
    large: "too large",
  };
  for (const [name, words] of Object.entries(faults)) {
    const error: UsageError = await assertRejects(
      () => loadConfig(folder.at(name), policySchema),
      UsageError,
      words,
    );
    assertEquals(error.status, 2);
    assertStringIncludes(error.message, folder.at(name));
  }
});

Deno.test("isNear() is true for misspellings and not for other words", () => {
  const near = [
    ["folder", "folders"],
    ["Folders", "folders"],
    ["foldres", "folders"],
    ["dayly", "daily"],
    ["excludes", "exclude"],
    ["retry", "retryDelay"],
  ];
  for (const [word, candidate] of near) assert(isNear(word!, candidate!), `${word} ${candidate}`);
  const far = [["daily", "weekly"], ["x", "ssh"], ["", "ssh"], ["folders", "tempfile"]];
  for (const [word, candidate] of far) {
    assertFalse(isNear(word!, candidate!), `${word} ${candidate}`);
  }
});
