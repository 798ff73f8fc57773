import { assertEquals, assertThrows } from "@std/assert";
import { parseCommandLine } from "../../../src/cli/args.ts";
import { UsageError } from "../../../src/errors.ts";

const spec = {
  switches: ["dry-run"],
  values: ["to", "config", "retries"],
  lists: ["exclude"],
};

const parse = (...args: string[]) => parseCommandLine("backup", args, spec);

/** What a command line that is refused is told. */
function refusal(...args: string[]): string {
  const error: UsageError = assertThrows(() => parse(...args), UsageError);
  assertEquals([error.status, error.remedy], [2, "see plasma help backup"], args.join(" "));
  return error.message;
}

Deno.test("parseCommandLine() tells flags, values and positional arguments apart", () => {
  const line = parse("--to", "/data", "/etc", "--dry-run", "/srv", "--config=/x=y", "--json");
  assertEquals(line.positional, ["/etc", "/srv"]);
  assertEquals([line.value("to"), line.value("config"), line.value("retries")], [
    "/data",
    "/x=y",
    undefined,
  ]);
  assertEquals([line.has("dry-run"), line.has("json"), line.has("quiet")], [true, true, false]);
});

Deno.test("parseCommandLine() collects flags that may be given several times", () => {
  assertEquals(parse("--exclude", "*.tmp", "--exclude=/a b", "x").list("exclude"), [
    "*.tmp",
    "/a b",
  ]);
  assertEquals(parse().list("exclude"), []);
});

Deno.test("parseCommandLine() takes what stands after -- literally", () => {
  const line = parse("--dry-run", "--", "--to", "-q", "--unknown", "--");
  assertEquals(line.positional, ["--to", "-q", "--unknown", "--"]);
  assertEquals([line.value("to"), line.log.quiet, line.has("dry-run")], [undefined, false, true]);
});

Deno.test("parseCommandLine() leaves values and folders that look like numbers texts", () => {
  const line = parse("--to", "007", "--retries", "0x10", "1e3", "0", "08");
  assertEquals([line.value("to"), line.value("retries")], ["007", "0x10"]);
  assertEquals(line.positional, ["1e3", "0", "08"]);
});

Deno.test("parseCommandLine() does not take a folder named true or false for a switch's value", () => {
  assertEquals(parse("--dry-run", "false", "other").positional, ["false", "other"]);
  assertEquals(parse("--dry-run", "false").has("dry-run"), true);
  assertEquals(parse("--quiet", "true").positional, ["true"]);
  assertEquals(parse("-v", "true").positional, ["true"]);
});

Deno.test("parseCommandLine() knows how much is to be said", () => {
  const usual = { quiet: false, verbose: false, color: true };
  assertEquals(parse().log, usual);
  for (const flag of ["-q", "--quiet"]) assertEquals(parse(flag).log, { ...usual, quiet: true });
  for (const flag of ["-v", "--verbose"]) {
    assertEquals(parse(flag).log, { ...usual, verbose: true });
  }
  assertEquals(parse("--no-color").log, { ...usual, color: false });
  assertEquals(parse("-qv").log, { quiet: true, verbose: true, color: true });
});

Deno.test("parseCommandLine() names the nearest flag for an unknown one", () => {
  assertEquals(refusal("--dry-rum"), "unknown flag --dry-rum, did you mean --dry-run?");
  assertEquals(refusal("--excludes", "x"), "unknown flag --excludes, did you mean --exclude?");
  assertEquals(refusal("--frobnicate"), "unknown flag --frobnicate");
  assertEquals(refusal("-x"), "unknown flag -x");
});

Deno.test("parseCommandLine() refuses every spelling of a flag that it does not know", () => {
  for (
    const flag of ["--Quiet", "--quiet.x", "--no-quiet", "--to.x=1", "--__proto__=1", "-qx", "---q"]
  ) {
    refusal(flag);
  }
});

Deno.test("parseCommandLine() refuses a value where none belongs, and a missing one", () => {
  assertEquals(refusal("--dry-run=yes"), "--dry-run takes no value");
  assertEquals(refusal("--quiet="), "--quiet takes no value");
  assertEquals(refusal("--to"), "--to needs a value");
  assertEquals(refusal("--to", "--dry-run"), "--to needs a value");
  assertEquals(refusal("--exclude", "--", "x"), "--exclude needs a value");
  assertEquals(refusal("--to", "-q"), "--to needs a value");
});

Deno.test("parseCommandLine() accepts values with a leading dash after an equals sign", () => {
  assertEquals(parse("--exclude=-x", "--exclude=--y").list("exclude"), ["-x", "--y"]);
  assertEquals(parse("--to=-x").value("to"), "-x");
});

Deno.test("parseCommandLine() accepts empty and odd arguments as they are", () => {
  const odd = ["", " ", "-", "a\nb", "é", "*", "$(x)"];
  assertEquals(parse(...odd).positional, odd);
  assertEquals(parse("--to=").value("to"), "");
});

Deno.test("row 63: a flag with a value that is given twice is refused", () => {
  assertThrows(() => parse("--to=a", "--to", "b"), UsageError, "--to is given twice");
  assertThrows(() => parse("--to=a", "--to=a"), UsageError, "--to is given twice");
  assertEquals(parse("--to=a", "--", "--to=b").positional, ["--to=b"]);
});
