import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";

/** Run a backup with a config that is a good one but for the given text or keys. */
async function backupWith(wrong: string | Uint8Array | object) {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const hook = { executeBefore: [`touch ${folder.at("hook-ran")}`] };
  const config = typeof wrong === "string" || wrong instanceof Uint8Array
    ? folder.write("agent.json", wrong)
    : writeConfig(folder, storage, { ...hook, ...wrong });
  const output = await plasma(["backup", "--config", config]);
  return { ...output, left: namesIn(folder.path), stored: archivesIn(storage).length };
}

/** What of a config has to be named in the output. */
const wrongKeys: readonly (readonly [wrong: object, messages: readonly RegExp[]])[] = [
  [{ folders: "/etc" }, [/folders: expected a list of folders, got "\/etc"/]],
  [{ folders: ["etc", 5, null] }, [
    /folders\.0: .*"etc"/,
    /folders\.1: .* 5/,
    /folders\.2: .*null/,
  ]],
  [{ folders: ["/a/../b"] }, [/folders\.0: .*"\/a\/\.\.\/b"/]],
  [{ strategy: "rsync" }, [/strategy: expected one of .*tar.*, got "rsync"/]],
  [{ strategy: true }, [/strategy: .*true/]],
  [{ strategy: { tar: 1 } }, [/strategy: expected one of .*tar/]],
  [{ options: [] }, [/options: expected an object/]],
  [{ retries: "5" }, [/retries: expected a whole number.*"5"/]],
  [{ retries: 2.5 }, [/retries: .*2\.5/]],
  [{ retries: -1 }, [/retries: .*-1/]],
  [{ retries: 1e99 }, [/retries: .*1e\+99/]],
  [{ retryDelay: 60 }, [/retryDelay: expected a duration.*60/]],
  [{ bandwidthLimit: "20 apples" }, [/bandwidthLimit: expected a size.*"20 apples"/]],
  [{ bandwidthLimit: 0 }, [/bandwidthLimit: .*0/]],
  [{ tempfile: "backup.tar" }, [/tempfile: expected an absolute path/]],
  [{ exclude: "x" }, [/exclude: expected a list/]],
  [{ excludeCaches: "yes" }, [/excludeCaches: expected true or false/]],
  [{ executeBefore: "df -h" }, [/executeBefore: expected a list of commands/]],
  [{ executeAfter: [["df"]] }, [/executeAfter\.0: /]],
  [{ ssh: "storage" }, [/ssh: expected an object/]],
  [{ ssh: { login: "x" } }, [/ssh\.host: missing/]],
  [{ ssh: { host: "h", port: 0 } }, [/ssh\.port: .*0/]],
  [{ ssh: { host: "h", port: 65536 } }, [/ssh\.port: .*65536/]],
  [{ remoteFolder: "" }, [/remoteFolder: /]],
  [{ fodlers: ["/etc"] }, [/fodlers: unknown key; did you mean "folders"\?/]],
  [{ executeAftr: [] }, [/executeAftr: unknown key; did you mean "executeAfter"\?/]],
  [{ ssh: { host: "h", prot: 22 } }, [/ssh\.prot: unknown key; did you mean "port"\?/]],
  [{ zzzzzz: 1 }, [/zzzzzz: unknown key; known here: .*folders/]],
  [{ __proto__x: 1, constructor: 1 }, [/constructor: unknown key/]],
  [{ retries: -1, exclude: 1, colour: 1 }, [/retries: /, /exclude: /, /colour: unknown key/]],
];

for (const [wrong, messages] of wrongKeys) {
  Deno.test(`a config with ${JSON.stringify(wrong)} is refused, all faults at once (rows 1, 2)`, async () => {
    const { code, stderr, lastLine, left, stored } = await backupWith(wrong);
    assertEquals([code, stored, left.includes("hook-ran")], [2, 0, false], stderr);
    for (const message of messages) assertMatch(stderr, message);
    assertMatch(lastLine, /^plasma: config: .*agent\.json: .*; nothing was run$/);
  });
}

const wrongTexts: readonly (readonly [what: string, text: string | Uint8Array, message: RegExp])[] =
  [
    ["nothing", "", /line 1, column 1: the file is empty/],
    ["only spaces", " \n\n", /the file is empty/],
    ["a word", "folders", /line 1, column 1/],
    ["a list", "[]", /expected an object/],
    ["null", "null", /expected an object/],
    [
      "a missing bracket",
      '{\n  "folders": ["/etc"\n',
      /line 3, column 1: unexpected end of the file/,
    ],
    ["a missing comma", '{\n  "folders": []\n  "retries": 1\n}', /line 3, column 3/],
    ["a NUL", '{\n  "strategy": "t\0ar"\n}', /line 2, column 17: a NUL character/],
    [
      "invalid UTF-8",
      new Uint8Array([123, 10, 32, 34, 255, 34]),
      /line 2, column 3: not valid UTF-8/,
    ],
  ];

for (const [what, text, message] of wrongTexts) {
  Deno.test(`a config file with ${what} is refused with line and column (row 3)`, async () => {
    const { code, lastLine } = await backupWith(text);
    assertEquals(code, 2);
    assertMatch(lastLine, message);
    assertStringIncludes(lastLine, "agent.json");
  });
}

Deno.test("a config that is a folder is refused (row 3)", async () => {
  using folder = new TemporaryFolder();
  const { code, lastLine } = await plasma(["backup", "--config", folder.path]);
  assertEquals(code, 2);
  assertStringIncludes(lastLine, `${folder.path} is not a regular file`);
});

Deno.test("a byte order mark, comments and trailing commas are accepted (row 3)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  folder.write(
    "storage/plasma-rotate.json",
    '\ufeff// kept\n{"policy": {"daily": 5, /* five */ "weekly": 3, "monthly": 2,},}\n',
  );
  const config = folder.write(
    "agent.json",
    `\ufeff{ // who\n "folders": ["${folder.at("data")}",], /* how */ "strategy": "tar",\r\n
      "remoteFolder": "${storage}",\n}`,
  );
  const { code, stderr } = await plasma(["backup", "--config", config]);
  assertEquals(code, 0, stderr);
  assertEquals(archivesIn(storage).length, 1);
});

const injections: readonly (readonly [key: string, (touch: string) => object])[] = [
  ["host", (touch) => ({ ssh: { host: `-oProxyCommand=${touch}` } })],
  ["host", (touch) => ({ ssh: { host: `a b;${touch}` } })],
  ["host", (touch) => ({ ssh: { host: `$(${touch})` } })],
  ["login", () => ({ ssh: { host: "h", login: "-l" } })],
  ["login", (touch) => ({ ssh: { host: "h", login: `x;${touch}` } })],
  ["port", (touch) => ({ ssh: { host: "h", port: `22 -oProxyCommand=${touch}` } })],
  ["command", (touch) => ({ ssh: { host: "h", command: `plasma; ${touch}` } })],
  ["identityFile", (touch) => ({ ssh: { host: "h", identityFile: `/x" ProxyCommand="${touch}` } })],
  ["remoteFolder", (touch) => ({ remoteFolder: `-x $(${touch})` })],
  ["remoteFolder", (touch) => ({ remoteFolder: `/x\n${touch}\n` })],
  ["remoteFolder", () => ({ remoteFolder: "/storage/../etc" })],
];

for (const [key, make] of injections) {
  Deno.test(`${JSON.stringify(make("touch X"))} is refused and runs nothing (row 4)`, async () => {
    using folder = new TemporaryFolder();
    const { code, stderr } = await backupWith(make(`touch ${folder.at("executed")}`));
    assertEquals(code, 2);
    assertStringIncludes(stderr, key);
    assertEquals(namesIn(folder.path), []);
  });
}

for (const name of ["a'b\"c", "$(touch executed)", "`touch executed`;touch executed", " $HOME *"]) {
  Deno.test(`a storage folder named ${JSON.stringify(name)} is taken literally (row 4)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage(name);
    const config = writeConfig(folder, storage);
    const { code, stderr } = await plasma(["backup", "--config", config], {
      currentFolder: folder.path,
    });
    assertEquals(code, 0, stderr);
    assertEquals(archivesIn(storage).length, 1);
    assertEquals(namesIn(folder.path).includes("executed"), false);
  });
}

const wrongPolicies: readonly (readonly [policy: unknown, message: RegExp])[] = [
  [{ daily: "5" }, /policy\.daily: expected a whole number.*"5"/],
  [{ daily: 2.5 }, /policy\.daily: .*2\.5/],
  [{ daily: true }, /policy\.daily: .*true/],
  [{ daily: null }, /policy\.daily: .*null/],
  [{ daily: [] }, /policy\.daily: /],
  [{ daily: -1 }, /policy\.daily: .*-1/],
  [{ daily: 1e99 }, /policy\.daily: .*1e\+99/],
  [{ daily: 0, weekly: 0, monthly: 0 }, /at least one of .* above 0/],
  [{}, /at least one of .* above 0/],
  [[], /policy: /],
  [{ dayly: 5 }, /policy\.dayly: unknown key; did you mean "daily"\?/],
  [{ daily: 5, keepWithin: "soon" }, /policy\.keepWithin: expected a duration/],
];

for (const [policy, message] of wrongPolicies) {
  Deno.test(`a policy ${JSON.stringify(policy)} is refused and nothing is deleted (rows 1, 2)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage", policy as object);
    for (const day of [1, 2, 3]) folder.write(`storage/2020010${day}-0000-daily.tar`, "x");
    const before = namesIn(storage);
    for (const args of [["rotate", storage], ["backup", "--to", storage, folder.at("data")]]) {
      const { code, stderr } = await plasma(args);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, message);
      assertStringIncludes(stderr, `${storage}/plasma-rotate.json`);
    }
    assertEquals(namesIn(storage), before);
  });
}
