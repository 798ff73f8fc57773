import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { PlasmaError } from "../../../src/errors.ts";
import { countFiles, judgeTar, sortLine } from "../../../src/strategies/judge_tar.ts";

/** Which files may change while tar reads them. */
const live = () => true;
const frozen = () => false;

const total = "Total bytes written: 10240 (10KiB, 1MiB/s)";
const changed = "tar: etc/log: file changed as we read it";
const ended = (code: number | null, signal: string | null = null) => ({ code, signal });

Deno.test("row 53: judgeTar() tells a tar that lost its way from one that met a bad file", () => {
  const codeOf = (...messages: string[]) =>
    assertThrows(() => judgeTar(ended(2), messages, live, ["/home"]), PlasmaError).code;
  const moved = "tar: home/bob/side: file changed as we read it";
  assertEquals(codeOf(moved), "exhausted");
  assertEquals(
    codeOf(moved, "tar: home/bob/x: Read error at byte 0, while reading: Input/output error"),
    "source",
  );
  assertEquals(codeOf("tar: memory exhausted"), "exhausted");
  assertEquals(codeOf(), "source");
});

Deno.test("judgeTar() takes an archive for good when tar says so and says its size", () => {
  assertEquals(judgeTar(ended(0), [total], frozen), []);
  assertEquals(judgeTar(ended(0), ["tar: run/x: socket ignored", total], live), []);
});

Deno.test("judgeTar() warns of files that changed, for a live source", () => {
  const messages = [changed, "tar: Removing leading `/' from member names", total];
  assertEquals(judgeTar(ended(1), messages, live), ["etc/log: file changed as we read it"]);
});

/** Why an archive is not usable. */
function refusal(...args: Parameters<typeof judgeTar>): string {
  return assertThrows(() => judgeTar(...args), PlasmaError).message;
}

Deno.test("judgeTar() does not accept changed files in a frozen source", () => {
  assertEquals(
    refusal(ended(1), [changed, total], frozen),
    "tar exited with status 1: etc/log: file changed as we read it",
  );
});

Deno.test("judgeTar() accepts changed files only where all of them may change", () => {
  const mayChange = (path: string) => path.startsWith("/mnt/live/");
  const inside = "tar: mnt/live/x: File removed before we read it";
  const insideWhole = "tar: ./mnt/live/y: file changed as we read it";
  assertEquals(judgeTar(ended(1), [inside, insideWhole, total], mayChange).length, 2);
  assertStringIncludes(refusal(ended(1), [inside, changed, total], mayChange), "etc/log");
});

Deno.test("judgeTar() refuses an archive whose tar failed, was killed, or ended early", () => {
  for (const mayChange of [live, frozen]) {
    const denied = "tar: etc/x: Cannot open: Permission denied";
    const exiting = "tar: Exiting with failure status due to previous errors";
    assertEquals(
      refusal(ended(2), [denied, total, exiting], mayChange),
      "tar exited with status 2: etc/x: Cannot open: Permission denied",
    );
    assertEquals(refusal(ended(null, "SIGKILL"), [total], mayChange), "tar was killed by SIGKILL");
    assertEquals(refusal(ended(127), [], mayChange), "tar exited with status 127");
    assertEquals(refusal(ended(0), [], mayChange), "tar ended before the archive was complete");
  }
  assertEquals(
    refusal(ended(1), [changed], live),
    "tar ended before the archive was complete: etc/log: file changed as we read it",
  );
});

const exiting = "tar: Exiting with failure status due to previous errors";

Deno.test("row 53: judgeTar() excuses what could not be read below a folder, where it is live", () => {
  const judge = (lines: string[], mayChange = live, folders = ["/home", "/srv"]) =>
    judgeTar(
      ended(2),
      [...lines.map((line) => `tar: ${line}`), total, exiting],
      mayChange,
      folders,
    );
  const excused = {
    "home/bob/f: Cannot open: Resource temporarily unavailable": "left out: ",
    "home/bob/f: Cannot open: Too many levels of symbolic links": "left out: ",
    "./home/bob/z: Cannot stat: Permission denied": "left out: ",
    "srv/l: Cannot readlink: Invalid argument": "left out: ",
    "srv/x: Unknown file type; file ignored": "left out: ",
    "srv/a\\n: b: Cannot open: c: Cannot open: Required key not available": "left out: ",
    "srv/f: Warning: Cannot llistxattrat: Input/output error": "",
    "srv/f: file changed as we read it": "",
    "srv/f: File shrank by 5 bytes; padding with zeros": "",
  };
  const lines = Object.keys(excused);
  assertEquals(judge(lines), Object.entries(excused).map(([line, before]) => before + line));
  assertEquals(judge(lines.slice(0, 1), live, ["/"]).length, 1);
  const first = lines[0]!;
  for (
    const line of [
      "home: Cannot open: Permission denied",
      "./srv/: Cannot savedir: Input/output error",
      "homes/f: Cannot open: Permission denied",
      "srv/d/: Cannot savedir: Input/output error",
      "srv/f: Read error at byte 0, while reading 9728 bytes: Input/output error",
      "home/f: Cannot open: Too many open files",
      "home/f: Cannot open: Cannot allocate memory",
      "home/f: Cannot frobnicate: Permission denied",
      "home/f: Cannot open: Permission denied: what is this",
      "something else",
    ]
  ) {
    assertThrows(() => judge([first, line]), PlasmaError, "tar exited with status 2", line);
  }
  assertThrows(() => judge([first], frozen), PlasmaError);
  assertThrows(() => judge([]), PlasmaError);
  const refused = (lines: string[]) => refusal(ended(2), lines, live, ["/home"]);
  refused([`tar: ${first}`, "... 7 more lines ...", total, exiting]);
  refused([`tar: ${first}`, exiting]);
  refused([`tar: ${first}`, total]);
  refused([`tar: ${first}`, total, "tar: Error is not recoverable: exiting now"]);
});

Deno.test("rows 53, 93: of a flood of messages each is sorted as judgeTar() would take it", () => {
  const sort = (line: string) =>
    sortLine(line, (words) => words.startsWith("/home/live/"), ["/home"]);
  const expected: Record<string, string | undefined> = {
    "tar: home/live/f: Cannot open: Permission denied": "left out",
    "tar: home/live/g: file changed as we read it": "changed",
    "tar: home/live/h: socket ignored": "remarks",
    "tar: home/frozen/h: socket ignored": "remarks",
    "tar: home/frozen: Cannot open: Permission denied": undefined,
    "tar: home/frozen: file changed as we read it": undefined,
    "tar: home: Cannot savedir: Input/output error": undefined,
    "tar: home/live/f: what is this": undefined,
    [total]: undefined,
    "words of another program": undefined,
  };
  for (const [line, name] of Object.entries(expected)) assertEquals(sort(line), name, line);
});

Deno.test("row 93: files that were only counted are counted right", () => {
  const messages = [
    "tar: home/live/f: Cannot open: Permission denied",
    "tar: home/live/g: file changed as we read it",
    "... 7 more lines: left out ...",
    "... 1000 more lines: changed ...",
    "... 3 more lines: remarks ...",
  ];
  const warnings = judgeTar(ended(2), [...messages, total, exiting], live, ["/home"]);
  assertEquals(warnings, [
    "left out: home/live/f: Cannot open: Permission denied",
    "home/live/g: file changed as we read it",
    "and 1000 more files that changed or vanished meanwhile",
    "and 7 more files that are left out",
  ]);
  assertEquals(countFiles(warnings), { changed: 1001, leftOut: 8 });
  assertEquals(countFiles([]), { changed: 0, leftOut: 0 });
  // What nobody has seen may have been anything.
  refusal(ended(1), [messages[1]!, "... 1 more lines ...", total], live);
});

Deno.test("judgeTar() is not deceived by a file that is called like tar's last words", () => {
  const name = `tar: ${total}: Cannot open: No such file or directory`;
  assertStringIncludes(refusal(ended(0), [name], live), "tar ended before");
});

Deno.test("judgeTar() names the first files of many", () => {
  const many = Array.from({ length: 9 }, (_, index) => `tar: ${index}: Cannot open`);
  const message = refusal(ended(2), many, live);
  assertEquals(
    message,
    "tar exited with status 2: " +
      "0: Cannot open / 1: Cannot open / 2: Cannot open / 3: Cannot open / 4: Cannot open " +
      "(and 4 more)",
  );
});
