import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { sh, tryRun } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

const { stdout: version } = await plasma(["--version"]);

Deno.test("the program takes nothing from a deno.json of the caller's folder", async () => {
  using folder = new TemporaryFolder();
  const evil = folder.write("evil.ts", `Deno.writeTextFileSync("executed", "");`);
  const config = { imports: { valibot: evil, "@std/cli": evil }, permissions: { default: {} } };
  folder.write("deno.json", JSON.stringify({ ...config, tasks: { run: "touch executed" } }));
  folder.write("deno.lock", "no lock file");
  folder.write("package.json", JSON.stringify({ dependencies: { valibot: "file:evil" } }));
  folder.write(".npmrc", "registry=http://127.0.0.1:1/\n");
  folder.write(".env", "PATH=/nowhere\n");
  folder.write("data/file", "content");
  const { code, stderr } = await plasma(["backup", "--to", "storage", "data"], {
    currentFolder: folder.path,
  });
  assertEquals(code, 0, stderr);
  assertEquals(archivesIn(folder.at("storage")).length, 1);
  assertEquals(namesIn(folder.path).includes("executed"), false);
  assertEquals(namesIn(folder.path).includes("node_modules"), false);
});

Deno.test("a chain of links, also relative ones and with spaces, leads to the program", async () => {
  using folder = new TemporaryFolder();
  for (const name of ["a b/c", "d"]) Deno.mkdirSync(folder.at(name), { recursive: true });
  Deno.symlinkSync(plasmaProgram, folder.at("a b/c/plasma"));
  Deno.symlinkSync("../a b/c/plasma", folder.at("d/second link"));
  Deno.symlinkSync("d", folder.at("e f"));
  Deno.symlinkSync("e f/second link", folder.at("plasma-rotate"));
  assertEquals(await sh(folder.at("d/second link"), "--version"), version);
  const { code, stderr } = await tryRun(folder.at("plasma-rotate"));
  assertEquals(code, 2);
  assertStringIncludes(stderr, "no FOLDER to rotate");
});

Deno.test("it is found on PATH, under each of its names", async () => {
  using folder = new TemporaryFolder();
  for (const name of ["plasma", "plasma-agent", "plasma-rotate"]) {
    Deno.symlinkSync(plasmaProgram, folder.at(name));
  }
  const run = (command: string) =>
    tryRun("sh", "-c", `cd / && PATH="$0:$PATH" exec ${command}`, folder.path);
  assertEquals((await run("plasma --version")).stdout, version);
  assertMatch((await run("plasma-agent --config /nowhere")).stderr, /cannot read \/nowhere/);
  assertMatch((await run("plasma-rotate")).stderr, /no FOLDER to rotate/);
});

Deno.test("it works in a session over ssh that has no terminal and little environment", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const { login, port, identityFile, knownHostsFile } = sshd.settings;
  Deno.symlinkSync(plasmaProgram, folder.at("plasma-rotate"));
  const storage = folder.storage("storage");
  const options = ["-o", "BatchMode=yes", "-o", `UserKnownHostsFile=${knownHostsFile}`];
  const where = ["-i", identityFile, "-p", `${port}`, `${login}@127.0.0.1`];
  const words = await sh("ssh", ...options, ...where, folder.at("plasma-rotate"), storage);
  assertStringIncludes(words, "0 kept, 0 deleted");
});

testThatNeeds(["program git"], "a checkout in a folder with spaces works", async () => {
  using folder = new TemporaryFolder();
  const checkout = folder.at("my check out");
  Deno.mkdirSync(checkout);
  const files = "main.ts deno.json deno.lock .deno-version src scripts";
  await sh("sh", "-c", `cd "$0" && cp -R ${files} "$1"`, fromRoot("."), checkout);
  assertMatch(await sh(`${checkout}/scripts/plasma`, "--version"), /^plasma /);
  folder.write("data/file", "content");
  const { code, stderr } = await tryRun(
    ...[
      `${checkout}/scripts/plasma`,
      "backup",
      "--to",
      folder.at("my backups"),
      folder.at("data"),
    ] as const,
  );
  assertEquals(code, 0, stderr);
});

Deno.test("Deno's own variables do not change what it does", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const { code, stderr } = await plasma(["backup", "--to", storage, folder.at("data")], {
    currentFolder: folder.path,
    environment: {
      DENO_V8_FLAGS: "--no-such-flag",
      DENO_COVERAGE_DIR: folder.at("coverage"),
      NODE_V8_COVERAGE: folder.at("coverage"),
      NODE_OPTIONS: "--require=/nowhere",
      OTEL_DENO: "true",
    },
  });
  assertEquals(code, 0, stderr);
  assertEquals(namesIn(folder.path), ["data", "storage"]);
});
