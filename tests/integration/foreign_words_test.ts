import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { testThatNeeds } from "../support/skip.ts";

/** Words of others are never more than words in a line (row 55). */

/** Names that would write lines of their own, set a title, or turn the text around. */
const names = [
  "x\nplasma: all is well\n20260101-0000-daily.tar  forged",
  "y\x1b]0;title\x07\x1b[2J\x1b[31m",
  "z\x9b31m\x85next line",
  "u\u202egpj.exe\u2066\u2028",
  "r\rover",
];

// deno-lint-ignore no-control-regex
const wild = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

/** No output has a character that does more than to be seen, nor more lines than these. */
function assertTame(text: string, lines: number): void {
  assertEquals(wild.exec(text)?.[0], undefined, JSON.stringify(text));
  assertEquals(text.split("\n").length - 1, lines, text);
  for (const line of text.split("\n")) {
    assertEquals(/^(?:plasma: all is well|20260101-0000-daily.tar {2}forged)/.test(line), false);
  }
}

/** A storage folder with files of such names. */
function makeStorage(folder: TemporaryFolder, name = "storage"): string {
  const storage = folder.storage(name);
  folder.write(`${name}/20250101-0000-daily.tar`, "x");
  for (const name of names) Deno.writeTextFileSync(`${storage}/${name}`, "x");
  return storage;
}

Deno.test("row 55: names of files do nothing to the output of list and rotate", async () => {
  using folder = new TemporaryFolder();
  const storage = makeStorage(folder);
  const list = await plasma(["list", "--from", storage]);
  assertTame(list.stdout, 1);
  assertTame(list.stderr, 1);
  assertStringIncludes(list.stderr, "x\\nplasma: all is well\\n20260101");
  assertStringIncludes(list.stderr, "y\\x1b]0;title\\x07\\x1b[2J\\x1b[31m");
  const rotate = await plasma(["rotate", storage]);
  assertTame(rotate.stdout, 2);
  assertTame(rotate.stderr, 1);
  const json = await plasma(["list", "--json", "--from", storage]);
  assertEquals(wild.test(json.stdout), false);
  assertEquals(JSON.parse(json.stdout).foreign, names.toSorted());
});

Deno.test("row 55: names of folders do nothing to the output of status", async () => {
  using folder = new TemporaryFolder();
  for (const name of names) folder.storage(`backup/${name}`);
  const { stdout } = await plasma(["status", folder.at("backup")]);
  assertTame(stdout, 2 + names.length);
  assertStringIncludes(stdout.split("\n")[0]!, "x\\nplasma: all is well");
  const rotate = await plasma(["rotate", ...names.map((name) => folder.at(`backup/${name}`))]);
  assertTame(rotate.stdout, names.length);
});

Deno.test("row 55: names of sources do nothing to the output of a run", async () => {
  using folder = new TemporaryFolder();
  const sources = names.map((name) => folder.write(`data/${name}/file`, "x").slice(0, -5));
  const storage = folder.storage("storage");
  const dry = await plasma(["backup", "--dry-run", "--to", storage, ...sources]);
  assertTame(dry.stdout, 1 + 2 * names.length);
  const gone = folder.at("gone\nplasma: all is well");
  const { code, stderr } = await plasma(["backup", "--to", storage, gone]);
  assertEquals(code, 1);
  assertTame(stderr, stderr.split("\n").length - 1);
});

Deno.test("row 55: words of the storage host do nothing to the output", async () => {
  using folder = new TemporaryFolder();
  const message = names.join("");
  const answer = JSON.stringify({
    protocol: 1,
    ok: false,
    error: { code: "x", stage: message, message, remedy: message },
  });
  const words = JSON.stringify(names.join(""));
  for (const script of [`cat "$answer"`, `cat "$words"`, `cat "$answer" >&2; exit 1`]) {
    folder.write("answer", answer + "\n");
    folder.write("words", JSON.parse(words));
    const ssh = folder.write(
      "bin/ssh",
      `#!/bin/sh\nanswer=${folder.at("answer")} words=${folder.at("words")}\n${script}\n`,
    );
    Deno.chmodSync(ssh, 0o755);
    const { code, stdout, stderr } = await plasma(["list", "--from", "host:/storage"], {
      environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
    });
    assertEquals([code, stdout], [1, ""]);
    assertTame(stderr, 1);
    assert(stderr.startsWith("plasma: "), stderr);
  }
});

/** Runs a command line on a terminal of its own, and shows what it writes there. */
const onTerminal = [
  "python3",
  "-c",
  "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
];

testThatNeeds(["program python3"], "row 55: on a terminal our own colours work", async () => {
  using folder = new TemporaryFolder();
  const { stdout } = await plasma(["rotate", folder.at("\x1b[32mgreen")], {
    through: ["env", "-u", "NO_COLOR", "TERM=xterm", ...onTerminal],
  });
  assertStringIncludes(stdout, "\x1b[31m\x1b[1mplasma:\x1b[22m\x1b[39m ");
  assertEquals(stdout.includes("\x1b[32m"), false, JSON.stringify(stdout));
  assertStringIncludes(stdout, "\\x1b[32mgreen");
});
