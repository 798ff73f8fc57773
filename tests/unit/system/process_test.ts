import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UsageError } from "../../../src/errors.ts";
import { Messages } from "../../../src/system/messages.ts";
import { childEnvironment, describeExit, run, start } from "../../../src/system/process.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const shell = (script: string) => ({ program: "sh", args: ["-c", script] });

Deno.test("Messages keeps lines in order, whatever pieces they come in", () => {
  const messages = new Messages();
  const whole = bytes("first\nsecönd\r\n\n  \nthird");
  for (let offset = 0; offset < whole.length; offset++) {
    messages.add(whole.subarray(offset, offset + 1));
  }
  assertEquals(messages.lines, ["first", "secönd", "third"]);
  assertEquals(messages.tail, "first / secönd / third");
  assertEquals(new Messages().tail, "");
});

Deno.test("Messages keeps the first and the last lines, and counts those between", () => {
  const messages = new Messages();
  for (let line = 1; line <= 100_000; line++) messages.add(bytes(`line ${line}\n`));
  const { lines } = messages;
  assertEquals(lines.length, 301);
  assertEquals([lines[0], lines[199]], ["line 1", "line 200"]);
  assertEquals(lines[200], "... 99700 more lines ...");
  assertEquals([lines[201], lines.at(-1)], ["line 99901", "line 100000"]);
  assertEquals(messages.tail, "line 99998 / line 99999 / line 100000");
});

Deno.test("row 93: Messages keeps what must be seen, and counts the rest by its name", () => {
  const names: Record<string, string | undefined> = { x: "crosses", z: "zeros" };
  const messages = new Messages((line) => names[line]);
  for (let n = 0; n < 1_000_000; n++) messages.add(bytes(n % 2 ? "x\n" : "z\n"));
  messages.add(bytes("the cause\n"));
  for (let n = 0; n < 1000; n++) messages.add(bytes("x\n"));
  assertEquals(messages.lines.slice(100, 103), [
    "the cause",
    "... 499950 more lines: zeros ...",
    "... 500850 more lines: crosses ...",
  ]);
});

Deno.test("Messages stays small when a line has no end, or is very long", () => {
  const messages = new Messages();
  for (let piece = 0; piece < 1000; piece++) messages.add(bytes("x".repeat(10_000)));
  assertEquals(messages.lines.map(({ length }) => length), [2000]);
  messages.add(bytes(`\n${"y".repeat(1_000_000)}\nend\n`));
  assertEquals(messages.lines.map(({ length }) => length), [2000, 2000, 3]);
});

Deno.test("Messages keeps the reason at the end of a long line, whatever pieces it comes in", () => {
  const line = `tar: ${"x".repeat(100_000)}: File name too long\n`;
  for (const size of [1000, 4096, 99_000, line.length - 8]) {
    const messages = new Messages();
    for (let start = 0; start < line.length; start += size) {
      messages.add(bytes(line.slice(start, start + size)));
    }
    assertEquals(messages.lines.map((kept) => kept.slice(-21)), ["x: File name too long"]);
  }
});

Deno.test("Messages copes with bytes that are not UTF-8", () => {
  const messages = new Messages();
  messages.add(new Uint8Array([0x61, 0xff, 0x0a]));
  assertEquals(messages.lines, ["a\ufffd"]);
});

Deno.test("describeExit() tells status and signal apart", () => {
  assertEquals(describeExit({ code: 2, signal: null }), "exited with status 2");
  assertEquals(describeExit({ code: null, signal: "SIGKILL" }), "was killed by SIGKILL");
});

Deno.test("children get no variable that is not on the list", async () => {
  Deno.env.set("TAR_OPTIONS", "--exclude=*");
  Deno.env.set("GIT_SSH", "x");
  try {
    const { stdout } = await run({ program: "sh", args: ["-c", "env"], environment: { A: "1" } });
    const names = text(stdout).trim().split("\n").map((line) => line.split("=")[0]!);
    const allowed = new Set([...Object.keys(childEnvironment({ A: "1" })), "PWD", "_", "SHLVL"]);
    assertEquals(names.filter((name) => !allowed.has(name)), []);
    assert(names.includes("A") && names.includes("LC_ALL") && names.includes("PATH"));
    assertEquals(childEnvironment().LC_ALL, "C");
    assertEquals([childEnvironment().TAR_OPTIONS, childEnvironment().GIT_SSH], [
      undefined,
      undefined,
    ]);
  } finally {
    Deno.env.delete("TAR_OPTIONS");
    Deno.env.delete("GIT_SSH");
  }
});

Deno.test("run() gives output, messages and the end of a program", async () => {
  const { exit, stdout, messages, timedOut } = await run(
    shell("cat; echo one >&2; echo two >&2; exit 7"),
    { input: "in" },
  );
  assertEquals([exit, text(stdout), timedOut], [{ code: 7, signal: null }, "in", false]);
  assertEquals(messages.lines, ["one", "two"]);
});

Deno.test("run() ends a program that takes too long, and says so", async () => {
  const { exit, timedOut } = await run(shell("echo x; exec sleep 1000"), { timeoutSeconds: 0.2 });
  assertEquals([exit.signal, timedOut], ["SIGKILL", true]);
});

Deno.test("run() ends a program when it is aborted, also beforehand", async () => {
  const controller = new AbortController();
  const running = run(shell("exec sleep 1000"), { signal: controller.signal });
  controller.abort();
  assertEquals((await running).exit.signal, "SIGTERM");
  const late = await run(shell("exec sleep 1000"), { signal: controller.signal });
  assertEquals([late.exit.signal, late.timedOut], ["SIGTERM", false]);
});

Deno.test("run() ends a program that writes without end", async () => {
  const { exit, stdout } = await run(
    { program: "cat", args: ["/dev/zero"] },
    { maximumOutput: 1 << 20 },
  );
  assertEquals(exit.signal, "SIGKILL");
  assert(stdout.length <= 1 << 20);
});

Deno.test("run() does not fail when a program ends before it has read its input", async () => {
  const { exit } = await run(shell("exit 3"), { input: "x".repeat(1 << 20) });
  assertEquals(exit.code, 3);
});

Deno.test("run() does not wait for grandchildren that hold the messages open", async () => {
  const { exit, messages } = await run(shell("echo words >&2; sleep 30 >/dev/null & exit 5"));
  assertEquals([exit.code, messages.lines], [5, ["words"]]);
});

Deno.test("start() names a program that is not installed, with status 2", async () => {
  const error: UsageError = await assertRejects(
    () => start({ program: "plasma-no-such-program", args: [] }),
    UsageError,
  );
  assertStringIncludes(error.message, `"plasma-no-such-program" is not installed`);
  assertEquals(error.remedy, "install the package plasma-no-such-program");
});

Deno.test("arguments reach a program as they are, whatever is in them", async () => {
  const odd = ["", " ", "$(x)", "`x`", "*", "a\nb", "-x", "'\"\\", "ä"];
  const { stdout } = await run({
    program: "sh",
    args: ["-c", `printf '%s\\0' "$@"`, "sh", ...odd],
  });
  assertEquals(text(stdout).split("\0"), [...odd, ""]);
});
