import { assertEquals, assertFalse, assertStringIncludes, assertThrows } from "@std/assert";
import { safeParse } from "valibot";
import { PlasmaError, UsageError } from "../../../src/errors.ts";
import {
  formatAnswer,
  formatRefusal,
  parseAnswer,
  requestSchema,
  verbGroups,
  verbs,
} from "../../../src/stores/protocol.ts";

const run = "20261123T084405Z-0123abcd-89abcdef-00000000";
const sha256 = "0123456789abcdef".repeat(4);
const commit = { protocol: 1, verb: "commit", folder: "/d", run, kind: "tar", bytes: 0, sha256 };

const isRequest = (value: unknown) => safeParse(requestSchema, value).success;

Deno.test("a key that may store can do nothing that shows, changes or deletes archives", () => {
  assertEquals([...verbGroups.store].sort(), ["abort", "commit", "hello", "store"]);
  assertEquals(verbs.filter((verb) => /delete|remove|write/.test(verb)), []);
});

Deno.test("each verb is a request with just what it needs", () => {
  const requests = [
    { verb: "hello" },
    { verb: "list" },
    { verb: "rotate" },
    { verb: "rotate", dryRun: true },
    { verb: "store", run },
    { verb: "abort", run },
    commit,
  ];
  for (const request of requests) {
    const whole = { protocol: 1, folder: "/d", ...request };
    assertEquals(isRequest(whole), true, request.verb);
    for (const key of Object.keys(whole).filter((key) => key !== "dryRun")) {
      assertFalse(isRequest({ ...whole, [key]: undefined }), `${request.verb} without ${key}`);
      assertFalse(isRequest({ ...whole, [key]: {} }), `${request.verb} with an object as ${key}`);
    }
  }
});

Deno.test("nothing in a request can name another file than an upload or archive of a run", () => {
  const wrong: Record<string, unknown[]> = {
    protocol: [0, 2, "1", null],
    verb: ["delete", "HELLO", "", null, 5, "constructor"],
    folder: ["", null, 5, []],
    run: ["", "../x", `${run}/..`, `${run}\n`, `/${run}`, run.toUpperCase(), run.slice(1), null],
    kind: ["", "zip", "tar/../x", "tar.sha256", "tar\n", "TAR", "tar.age.zst", null],
    bytes: [-1, 0.5, 2 ** 53, "5", null, NaN],
    sha256: ["", sha256.slice(1), `${sha256}0`, sha256.toUpperCase(), `${sha256}\n`, null],
  };
  for (const [key, values] of Object.entries(wrong)) {
    for (const value of values) {
      assertFalse(isRequest({ ...commit, [key]: value }), `${key}: ${JSON.stringify(value)}`);
    }
  }
  for (const kind of ["tar", "tar.gz", "tar.zst", "tar.xz", "tar.age", "tar.zst.age", "btrfs"]) {
    assertEquals(isRequest({ ...commit, kind }), true, kind);
  }
});

Deno.test("an answer is one line whatever it holds", () => {
  for (
    const line of [
      formatAnswer({ foreign: ["a\nb\r", "\u2028"] }),
      formatRefusal(new PlasmaError("storage", "a\nb")),
    ]
  ) {
    assertEquals([line.indexOf("\n"), line.endsWith("\n")], [line.length - 1, true]);
  }
});

Deno.test("parseAnswer() gives the content of an answer", () => {
  assertEquals(parseAnswer(formatAnswer({ name: "x" }).trim(), "h"), {
    protocol: 1,
    ok: true,
    name: "x",
  });
});

Deno.test("an error keeps stage, words, remedy, code and status on its way", () => {
  const sent = new PlasmaError("commit", "no space", { remedy: "make some", code: "ENOSPC" });
  const failed = thrownBy(formatRefusal(sent));
  assertEquals(
    [failed.stage, failed.message, failed.remedy, failed.code, failed.status],
    ["commit", "host: no space", "make some", "ENOSPC", 1],
  );
  const usage = thrownBy(formatRefusal(new UsageError("config", "bad policy")));
  assertEquals([usage.code, usage.status, usage.remedy], ["usage", 2, undefined]);
});

Deno.test("parseAnswer() quotes noise before the protocol, in bounds", () => {
  const noises = [
    "Welcome to Debian!",
    "",
    "null",
    "[1]",
    "5",
    "{}",
    `{"ok":true}`,
    "{",
    "\x1b[31m",
  ];
  for (const noise of noises) {
    const error = thrownBy(noise);
    assertEquals(error.code, "noise", noise);
    assertStringIncludes(error.message, JSON.stringify(noise));
  }
  const long = thrownBy("x".repeat(1_000_000));
  assertEquals([long.code, long.message.length < 200], ["noise", true]);
});

Deno.test("parseAnswer() refuses another version of the protocol", () => {
  assertEquals(thrownBy(`{"protocol":2,"ok":true}`).code, "protocol");
});

Deno.test("parseAnswer() takes an answer that is not ok for an error, whatever it lacks", () => {
  for (
    const rest of ["", `,"ok":1`, `,"ok":"true"`, `,"ok":false,"error":5`, `,"error":{"code":[]}`]
  ) {
    const error = thrownBy(`{"protocol":1${rest}}`);
    assertEquals([error.message, error.code], ["host: failed without a reason", "failed"], rest);
  }
});

function thrownBy(line: string): PlasmaError {
  return assertThrows(() => parseAnswer(line.trimEnd(), "host"), PlasmaError);
}
