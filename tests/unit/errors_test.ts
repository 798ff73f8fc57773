import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  describeError,
  errorCode,
  isNotFound,
  PlasmaError,
  reasonOf,
  SignalError,
  stackOf,
  statusOf,
  UsageError,
} from "../../src/errors.ts";
import { TemporaryFolder } from "../support/folders.ts";

Deno.test("describeError() tells stage, cause and remedy in one line", () => {
  assertEquals(describeError(new PlasmaError("upload", "it broke")), "upload: it broke");
  assertEquals(
    describeError(new UsageError("config", "no folders", "name one")),
    "config: no folders; name one",
  );
  const remedy = "report it with what --verbose shows";
  assertEquals(describeError(new TypeError("oops")), `internal error: TypeError: oops; ${remedy}`);
  assertEquals(describeError("text"), `internal error: text; ${remedy}`);
});

Deno.test("row 75: an error of the system that nobody foresaw has its cause, and no stack trace", () => {
  using folder = new TemporaryFolder();
  const error = assertThrows(() => Deno.mkdirSync(folder.path));
  assertEquals(describeError(error), `system: it exists already: mkdir '${folder.path}'`);
  assertMatch(stackOf(error)!, / at /);
  assertEquals(stackOf(new PlasmaError("upload", "it broke")), undefined);
});

Deno.test("statusOf() is the exit status that the README documents", () => {
  assertEquals(statusOf(new PlasmaError("upload", "it broke")), 1);
  assertEquals(statusOf(new UsageError("config", "bad")), 2);
  assertEquals(statusOf(new PlasmaError("lock", "held", { status: 4 })), 4);
  assertEquals(statusOf(new SignalError("SIGHUP")), 129);
  assertEquals(statusOf(new SignalError("SIGINT")), 130);
  assertEquals(statusOf(new SignalError("SIGTERM")), 143);
  assertEquals(statusOf(new Error("a bug")), 1);
});

/** What an operation throws. */
function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("it did not throw");
}

Deno.test("errorCode() and reasonOf() know the errors that the system gives", () => {
  using folder = new TemporaryFolder();
  const file = folder.write("file", "");
  const operations: [string, string, () => unknown][] = [
    ["ENOENT", "it does not exist", () => Deno.lstatSync(folder.at("missing"))],
    ["EEXIST", "it exists already", () => Deno.mkdirSync(file)],
    ["ENOTDIR", "a part of the path is not a folder", () => Deno.lstatSync(`${file}/x`)],
    ["ENOTEMPTY", "the folder is not empty", () => Deno.removeSync(folder.path)],
    ["EISDIR", "it is a folder", () => Deno.readTextFileSync(folder.path)],
  ];
  for (const [code, reason, run] of operations) {
    const error = thrownBy(run);
    assertEquals([errorCode(error), reasonOf(error)], [code, reason]);
    assertEquals(isNotFound(error), code === "ENOENT");
  }
  assertEquals(errorCode("ENOENT"), undefined);
  assertEquals(reasonOf(new Error("something else")), "something else");
});
