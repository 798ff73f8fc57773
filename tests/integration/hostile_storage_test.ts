import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, type PlasmaOutput } from "../support/plasma.ts";
import { measuringMemory } from "../support/processes.ts";
import { assertNothingLeft } from "../support/runs.ts";
import { testThatNeeds } from "../support/skip.ts";

/** A storage host that answers what no `plasma serve` says (row 57). */

/** What the agent may need, whatever it is told. */
const mostKilobytes = 200_000;

const destination = "host:/storage";
const name = "20260101-0000-daily.tar";
const listed = {
  name,
  time: "2026-01-01T00:00:00",
  label: "daily",
  kind: "tar",
  bytes: 1,
  state: "complete",
};
const hello = { newestBytes: 1, allow: ["hello", "store", "commit", "abort", "list", "rotate"] };
const sha256 = "0".repeat(64);

const line = (answer: object) => JSON.stringify({ protocol: 1, ok: true, ...answer });

/** An ssh that answers each verb with what a shell script prints. */
function fakeHost(folder: TemporaryFolder, scripts: Record<string, string>): void {
  const cases = Object.entries(scripts).map(([verb, script]) =>
    `*'"verb":"${verb}"'*) ${script} ;;\n`
  );
  const program = folder.write(
    "bin/ssh",
    `#!/bin/sh\nread -r request\ncase $request in\n${cases.join("")}*) exit 1 ;;\nesac\n`,
  );
  Deno.chmodSync(program, 0o755);
}

/** A script that prints a text. */
function says(folder: TemporaryFolder, text: string): string {
  const file = folder.write(`says/${crypto.randomUUID()}`, text);
  return `cat ${file}`;
}

async function run(folder: TemporaryFolder, args: string[], through: readonly string[] = []) {
  return await plasma(args, {
    through: ["timeout", "--kill-after=1", "40", ...through],
    environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
    currentFolder: folder.path,
  });
}

/** It failed with one line that names the host, and has written nothing. */
function assertRefused(folder: TemporaryFolder, output: PlasmaOutput, words: string): void {
  assertEquals([output.code, output.stdout], [1, ""], output.stderr);
  assertStringIncludes(output.lastLine, "host ");
  assertStringIncludes(output.lastLine, words);
  assert(output.stderr.length < 10_000);
  assertEquals(namesIn(folder.path).filter((name) => !/^(?:bin|says|data)$/.test(name)), []);
}

const strangeNames = [
  "../../etc/passwd",
  "/etc/passwd",
  "20260101-0000-daily.tar/../../x",
  "20260101-0000-daily.tar\nplasma: all is well",
  "20260101-0000-daily.tar\u0000",
  "20261399-0000-daily.tar",
  "-rf",
  "",
  "x".repeat(10_000),
  5,
  null,
  { toString: "x" },
];
const strangeSizes = [-1, 1.5, "5", 1e300, 2 ** 53, null, [], true];

Deno.test("row 57: names, sizes and times that are none are refused in a list", async () => {
  const rows: object[] = [
    ...strangeNames.map((name) => ({ ...listed, name })),
    ...strangeSizes.map((bytes) => ({ ...listed, bytes })),
    { ...listed, time: "yesterday" },
    { ...listed, time: "2026-01-02T00:00:00" },
    { ...listed, label: "weekly" },
    { ...listed, kind: "tar.zst" },
    { ...listed, verified: "x".repeat(1000) },
    { ...listed, finding: "\x1b[2J" },
    { ...listed, state: "good" },
  ];
  using folder = new TemporaryFolder();
  for (const row of rows) {
    fakeHost(folder, { list: says(folder, line({ archives: [row], foreign: [] }) + "\n") });
    const output = await run(folder, ["list", "--from", destination]);
    assertRefused(folder, output, "gave an answer that plasma does not understand (archives.0");
  }
  for (const foreign of [[""], ["x".repeat(256)], [5], "x"]) {
    fakeHost(folder, { list: says(folder, line({ archives: [], foreign }) + "\n") });
    const output = await run(folder, ["list", "--from", destination]);
    assertRefused(folder, output, "does not understand (foreign");
  }
  fakeHost(folder, { list: says(folder, line({ archives: [listed], foreign: ["x"] }) + "\n") });
  assertEquals((await run(folder, ["list", "--from", destination])).code, 0);
});

Deno.test("row 57: no run believes in a name, a size or a checksum that is none", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const cases: [verb: string, answer: object, place: string][] = [
    ...strangeSizes.filter((bytes) => bytes !== null).map((newestBytes) =>
      ["hello", { ...hello, newestBytes }, "(newestBytes)"] as [string, object, string]
    ),
    ["hello", { allow: "store" }, "(allow)"],
    ["hello", { allow: ["x".repeat(1000)] }, "(allow.0)"],
    ["store", { bytes: "1", sha256 }, "(bytes)"],
    ["store", { bytes: 1, sha256: "no checksum" }, "(sha256)"],
  ];
  for (const [verb, answer, place] of cases) {
    fakeHost(folder, {
      hello: says(folder, line(hello) + "\n"),
      store: `cat >/dev/null; ${says(folder, line({ bytes: 1, sha256 }) + "\n")}`,
      [verb]: `cat >/dev/null; ${says(folder, line(answer) + "\n")}`,
    });
    const output = await run(folder, ["backup", "--to", destination, folder.at("data")]);
    assertRefused(folder, output, `does not understand ${place}`);
  }
});

Deno.test("row 57: no run believes in a committed archive with a name that is none", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  for (const name of [...strangeNames, "20260101-0000-daily.tar.zst"]) {
    fakeHost(folder, {
      hello: says(folder, line(hello) + "\n"),
      store: `tee count | sha256sum >sum; read -r sha rest <sum;
        printf '{"protocol":1,"ok":true,"bytes":%d,"sha256":"%s"}\\n' "$(wc -c <count)" "$sha"
        rm count sum`,
      commit: says(folder, line({ name }) + "\n"),
    });
    const output = await run(folder, ["backup", "--to", destination, folder.at("data")]);
    assertRefused(folder, output, "does not understand (name)");
  }
});

Deno.test("row 57: another archive's verdict, and a fetch that is refused, are not believed", async () => {
  using folder = new TemporaryFolder();
  const list = says(folder, line({ archives: [listed], foreign: [] }) + "\n");
  const verdict = { name: "20250101-0000-daily.tar", state: "ok", detail: "", bytes: 1 };
  fakeHost(folder, { list, verify: says(folder, line(verdict) + "\n") });
  assertRefused(folder, await run(folder, ["verify", "--from", destination]), "(name)");

  const tar = new Deno.Command("tar", { args: ["-c", "-C", folder.at("says"), "."] });
  const { stdout } = await tar.output();
  Deno.writeFileSync(folder.write("says/tar", ""), stdout);
  const restore = ["restore", "latest", "--from", destination, "--target", folder.at("target")];
  const refusal = '{"protocol":1,"ok":false,"error":{"message":"no such thing"}}';
  for (const answer of [refusal, "Welcome", "{}", '{"protocol":1}']) {
    fakeHost(folder, { list, fetch: `echo '${answer}'; cat ${folder.at("says/tar")} /dev/zero` });
    const { code, lastLine } = await run(folder, restore);
    assertEquals(code, 1);
    assertStringIncludes(lastLine, "host");
    assertEquals(namesIn(folder.at("target")), [], "nothing of it was unpacked");
  }
});

/** What comes, and never ends, or nearly never. */
const floods: Record<string, string> = {
  "400 MB in a line": "head -c 400000000 /dev/zero | tr '\\0' x; echo",
  "a line without end": "tr '\\0' x </dev/zero",
  "an answer, and then no end": `echo '${line(hello)}'; cat /dev/zero`,
  "lines without end": `yes '${line(hello)}'`,
  "an answer of 400 MB": `printf '{"protocol":1,"ok":true,"newestBytes":1,"allow":["'
    head -c 400000000 /dev/zero | tr '\\0' x; echo '"]}'`,
};

for (const [what, script] of Object.entries(floods)) {
  testThatNeeds(["program python3"], `row 57: ${what} is refused in little memory`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const long = "cat >/dev/null; " + script;
    for (const verb of ["hello", "store", "list"]) {
      fakeHost(folder, { hello: says(folder, line(hello) + "\n"), [verb]: long });
      const args = verb === "list"
        ? ["list", "--from", destination]
        : ["backup", "--to", destination, folder.at("data")];
      const { code, stderr } = await run(folder, args, measuringMemory);
      const [message, kilobytes] = stderr.trimEnd().split("\n").slice(-2);
      assertEquals(code, 1, stderr);
      assertStringIncludes(message!, "host said more than any answer has");
      assert(Number(kilobytes) > 10_000 && Number(kilobytes) < mostKilobytes, `${kilobytes} KiB`);
    }
    assertEquals(namesIn(folder.path), ["bin", "data", "says"]);
  });
}

Deno.test("row 57: an answer is an answer, though the session does not end", async () => {
  using folder = new TemporaryFolder();
  fakeHost(folder, {
    list: `${says(folder, line({ archives: [listed], foreign: [] }) + "\n")}; exec sleep 1000`,
  });
  const start = performance.now();
  const { code, stdout } = await run(folder, ["list", "--from", destination]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, name);
  assert(performance.now() - start < 20_000);
});

Deno.test("row 57: an error without end is shortened", async () => {
  using folder = new TemporaryFolder();
  const error = { code: "x", stage: "x".repeat(5000), message: "y".repeat(50_000), remedy: "z" };
  const answer = JSON.stringify({ protocol: 1, ok: false, error });
  fakeHost(folder, { list: says(folder, answer + "\n") });
  const { code, stderr } = await run(folder, ["list", "--from", destination]);
  assertEquals([code, stderr.length < 5000], [1, true]);
  assertStringIncludes(stderr, "plasma: storage: host: yyyy");
  await assertNothingLeft(folder.path);
});
