import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { PlasmaError } from "../../../src/errors.ts";
import { countFiles, judgeTar, sortLine } from "../../../src/strategies/judge_tar.ts";
import {
  patternList,
  requireGnuTar,
  tarCommand,
  type TarJob,
} from "../../../src/strategies/tar_command.ts";
import { run } from "../../../src/system/process.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { sh } from "../../support/sh.ts";

/** Which files may change while tar reads them. */
const live = () => true;
const frozen = () => false;

/** A tree of files, and the members that the real tar makes of it. */
class Tree implements Disposable {
  readonly folder = new TemporaryFolder();

  constructor(...files: string[]) {
    for (const file of files) this.folder.write(`root/${file}`, file);
  }

  /** The members of the archive, folders left out, sorted. */
  async members(
    { folders = ["/"], ...job }: Partial<Omit<TarJob, "folders">> & { folders?: string[] },
  ): Promise<string[]> {
    const root = this.folder.at("root");
    const { exit, stdout, messages } = await run(tarCommand({
      folders: folders.map((path) => ({ root, path })),
      exclude: [],
      excludeCaches: false,
      omit: [],
      empty: [],
      ...job,
    }));
    judgeTar(exit, messages.lines, frozen);
    Deno.writeFileSync(this.folder.at("tar"), stdout);
    const names = await sh(
      "tar",
      "--list",
      "--quoting-style=literal",
      "--file",
      this.folder.at("tar"),
    );
    return names.split("\n").filter((name) => name !== "" && !name.endsWith("/")).sort();
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

Deno.test("tarCommand() names members as Plasma 1.0 did, without the leading slash", async () => {
  using tree = new Tree("etc/passwd", "etc/ssh/config", "srv/data", "other");
  assertEquals(await tree.members({ folders: ["/etc", "/srv"] }), [
    "etc/passwd",
    "etc/ssh/config",
    "srv/data",
  ]);
  assertEquals(await tree.members({ folders: ["/"] }), [
    "etc/passwd",
    "etc/ssh/config",
    "other",
    "srv/data",
  ]);
});

Deno.test("tarCommand() takes folders by the letter, whatever they are called", async () => {
  const odd = [
    "-leading",
    "--checkpoint=1",
    "*",
    "[x]",
    "a b",
    "back\\slash",
    "tab\t",
    "@x",
    "\\012",
  ];
  using tree = new Tree(...odd.map((name) => `${name}/file`), "x/file", "plain/file");
  const expected = odd.map((name) => `${name}/file`).sort();
  assertEquals(await tree.members({ folders: odd.map((name) => `/${name}`) }), expected);
});

Deno.test("tarCommand() leaves out patterns: names anywhere, paths from the root", async () => {
  using tree = new Tree(
    "a.tmp",
    "srv/b.tmp",
    "srv/cache/x",
    "home/srv/cache/y",
    "srv/cache2/z",
    "srv/keep",
    "var/log/1",
    "home/log/2",
  );
  const exclude = ["*.tmp", "/srv/cache/", "/var/*/1"];
  for (const folders of [["/"], ["/srv", "/home", "/var"]]) {
    assertEquals(await tree.members({ folders, exclude }), [
      "home/log/2",
      "home/srv/cache/y",
      "srv/cache2/z",
      "srv/keep",
    ]);
  }
  assertEquals(await tree.members({ folders: ["/srv"], exclude: ["cache"] }), [
    "srv/b.tmp",
    "srv/cache2/z",
    "srv/keep",
  ]);
});

Deno.test("tarCommand() leaves out its own paths by the letter", async () => {
  using tree = new Tree("s/*/x", "s/a/x", "s/[ab]/x", "s/b\\c/x", "t/s/a/x", "s/file", "s/file2");
  for (const folders of [["/"], ["/s", "/t"]]) {
    assertEquals(await tree.members({ folders, omit: ["/s/*", "/s/[ab]", "/s/b\\c", "/s/file"] }), [
      "s/a/x",
      "s/file2",
      "t/s/a/x",
    ]);
  }
});

Deno.test("row 53: tarCommand() leaves out the same whatever makes a pattern fast", async () => {
  const names = [
    "a",
    "b.tmp",
    "tmp",
    "cache",
    "x.tmpy",
    "ab",
    "[a]",
    "a*b",
    "\\a",
    ".tmp",
    "é",
    "~",
  ];
  const paths = names.flatMap((a) => [a, ...names.map((b) => `${a}/${b}`)])
    .flatMap((path) => [`${path}/f`, `${path}/c.tmp/g`, `${path}/cache/sub/b~`]);
  using tree = new Tree(...paths.map((path) => `s/${path}`));
  const patterns = [
    ...["*.tmp", "cache*", "*~", "*a*", "*", "**", "tmp", "a", "é", "é*", ".tmp", "*.tmp/", "~"],
    ...[
      "a*b",
      "?",
      "a?b",
      "[a]",
      "\\[a]",
      "\\a",
      "\\\\a",
      "a/b.tmp",
      "cache/*",
      "*/tmp",
      "[!a]b",
      "s/a",
    ],
    ...["/s/a", "/s/a/cache/", "/s/*/tmp", "/s/\\[a]", "/s/é", "/s/cache*", "/s/a\\*b", "/é"],
  ];
  for (const pattern of patterns) {
    const plain = pattern.length > 1 ? pattern.replace(/\/$/, "") : pattern;
    const mode = plain.startsWith("/") ? "--anchored" : "--no-anchored";
    const flags = [mode, "--wildcards", `--exclude=${plain.replace(/^\//, "")}`];
    const root = tree.folder.at("root");
    const all = await sh(
      "sh",
      "-c",
      'cd "$0"; tar -c "$@" s | tar -t --quoting-style=literal',
      root,
      ...flags,
    );
    const expected = all.split("\n").filter((name) => name !== "" && !name.endsWith("/")).sort();
    assertEquals(await tree.members({ folders: ["/s"], exclude: [pattern] }), expected, pattern);
  }
});

Deno.test("tarCommand() keeps folders of which only the content is left out", async () => {
  using tree = new Tree("p/proc/1/status", "p/[x]/2", "p/x/3", "p/b\\c/4", "q/p/proc/5");
  const job = { folders: ["/p", "/q"], empty: ["/p/proc", "/p/[x]", "/p/b\\c"] };
  assertEquals(await tree.members(job), ["p/x/3", "q/p/proc/5"]);
  const all = await sh("tar", "--list", "--quoting-style=literal", "--file", tree.folder.at("tar"));
  for (const name of ["p/proc/", "p/[x]/", "p/b\\c/"]) assertStringIncludes(all, `\n${name}\n`);
});

Deno.test("tarCommand() can leave out caches that say so themselves", async () => {
  using tree = new Tree("a/file", "cache/content");
  tree.folder.write("root/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
  const folders = ["/a", "/cache"];
  assertEquals(await tree.members({ folders, excludeCaches: true }), [
    "a/file",
    "cache/CACHEDIR.TAG",
  ]);
  assertEquals((await tree.members({ folders })).length, 3);
});

const total = "Total bytes written: 10240 (10KiB, 1MiB/s)";
const changed = "tar: etc/log: file changed as we read it";
const ended = (code: number | null, signal: string | null = null) => ({ code, signal });

for (const folders of [["/"], ["/etc", "/srv"]]) {
  Deno.test(`row 53: tarCommand() leaves out paths that are too long, of ${folders}`, async () => {
    using tree = new Tree("etc/a/b/c/d", "etc/é*/f", "etc/a/b c/d", "srv/x");
    // 12, 12, 10 and 6 bytes from the root.
    const all = ["etc/a/b c/d", "etc/a/b/c/d", "etc/é*/f", "srv/x"];
    assertEquals(await tree.members({ folders, longestPath: 12 }), all);
    assertEquals(await tree.members({ folders, longestPath: 11 }), ["etc/é*/f", "srv/x"]);
    assertEquals(await tree.members({ folders, longestPath: 10, exclude: ["/srv"] }), ["etc/é*/f"]);
    assertEquals(await tree.members({ folders, longestPath: 9 }), ["srv/x"]);
  });
}

Deno.test("row 53: tarCommand() leaves out the same by a list as by its command line", async () => {
  const odd = [
    "a ",
    "a\t",
    "b\nc",
    "*",
    "[d]",
    "e\\f",
    "plain",
    " g",
    "#h",
    "!i",
    "ä",
    "j\u00a0k",
    "l\u3000",
  ];
  for (const folders of [["/"], ["/p"]]) {
    using tree = new Tree(...[...odd, "a", "bxc?"].map((name) => `p/${name}/file`), "p/zoe/x");
    const places = odd.map((name) => `/p/${name}`);
    for (const how of ["omit", "empty"] as const) {
      const job = { [how]: places };
      const byArguments = await tree.members({ folders, ...job });
      // The first line of a folder with two.
      const others = byArguments.filter((member) => member !== "p/b");
      assertEquals(others, ["p/a/file", "p/bxc?/file", "p/zoe/x"]);
      const listFile = tree.folder.write(
        "list",
        patternList({
          folders: folders.map((path) => ({ root: "", path })),
          exclude: [],
          excludeCaches: false,
          omit: [],
          empty: [],
          ...job,
        }),
      );
      assertEquals(await tree.members({ folders, ...job, listFile }), byArguments);
    }
  }
});

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

Deno.test("requireGnuTar() is content with the tar of this machine", async () => {
  await requireGnuTar();
});
