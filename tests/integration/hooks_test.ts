import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { descendant, memoryOf, untilNoProcessNames } from "../support/processes.ts";
import {
  assertNothingLeft,
  runFolders,
  slowly,
  untilMidUpload,
  writeConfig,
  writeLargeData,
} from "../support/runs.ts";
import { until } from "../support/sh.ts";

/** A folder with data, a storage folder and a config with these hooks; and a way to run it. */
function setUp(hooks: object) {
  const folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const text = JSON.stringify(hooks).replaceAll("FOLDER", folder.path);
  const config = writeConfig(folder, storage, JSON.parse(text));
  return {
    folder,
    storage,
    args: ["backup", "--config", config],
    lines: (name: string) => Deno.readTextFileSync(folder.at(name)).trimEnd().split("\n"),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

Deno.test("hooks run in the order of a run, with what they are told of it", async () => {
  const say = (name: string) => [
    `echo "${name} $PLASMA_STATUS $PLASMA_ARCHIVE [$PLASMA_ERROR] $PLASMA_DESTINATION" >>FOLDER/log`,
  ];
  using run = setUp({
    executeBefore: say("before"),
    executeAfterSnapshot: say("snapshot"),
    executeAfter: say("after"),
    executeOnFailure: say("failure"),
    executeAlways: say("always"),
  });
  const { code, stdout, stderr } = await plasma(run.args);
  assertEquals(code, 0, stderr);
  const archive = stdout.trimEnd();
  assertEquals(run.lines("log"), [
    `before   [] ${run.storage}`,
    `snapshot   [] ${run.storage}`,
    `after 0 ${archive} [] ${run.storage}`,
    `always 0 ${archive} [] ${run.storage}`,
  ]);
});

Deno.test("a failing before-hook cancels the backup, and only the last hooks run (row 14)", async () => {
  using run = setUp({
    executeBefore: ["echo 1 >>FOLDER/log", "echo 2 >>FOLDER/log; exit 7", "echo 3 >>FOLDER/log"],
    executeAfter: ["echo after >>FOLDER/log"],
    executeOnFailure: [
      'echo "failure $PLASMA_STATUS [$PLASMA_ARCHIVE] $PLASMA_ERROR" >>FOLDER/log',
    ],
    executeAlways: ["echo always >>FOLDER/log"],
  });
  const { code, lastLine } = await plasma(run.args);
  assertEquals([code, archivesIn(run.storage)], [1, []]);
  assertMatch(lastLine, /executeBefore: the command "echo 2 .*" exited with status 7/);
  const [one, two, failure, always] = run.lines("log");
  assertEquals([one, two, always], ["1", "2", "always"]);
  assertMatch(failure!, /^failure 1 \[\] executeBefore: the command .* exited with status 7/);
  await assertNothingLeft(run.storage);
});

Deno.test("all after-hooks run although one fails, and the archive stays (row 15)", async () => {
  using run = setUp({
    executeAfter: ["exit 1", "echo 2 >>FOLDER/log", "kill -9 $$", "echo 4 >>FOLDER/log"],
    executeOnFailure: ['echo "failure $PLASMA_STATUS $PLASMA_ARCHIVE" >>FOLDER/log'],
  });
  const { code, stdout, lastLine } = await plasma(run.args);
  assertEquals([code, archivesIn(run.storage)], [3, [stdout.trimEnd()]]);
  assertEquals(run.lines("log"), ["2", "4", `failure 3 ${stdout.trimEnd()}`]);
  assertMatch(lastLine, /stored, but executeAfter: the command "exit 1" exited with status 1/);
  assertMatch(lastLine, /the command "kill -9 \$\$" /);
});

for (
  const [key, command] of [["executeOnFailure", "exit 1"], ["executeAlways", "exit 1"]] as const
) {
  Deno.test(`a failing ${key} hook is told and leaves the archive`, async () => {
    using run = setUp({ executeAfter: ["exit 1"], [key]: [command] });
    const { code, lastLine } = await plasma(run.args);
    assertEquals([code, archivesIn(run.storage).length], [3, 1]);
    assertStringIncludes(lastLine, key);
  });
}

Deno.test("a hook that hangs ends with hookTimeout, with all that it has started (row 14)", async () => {
  using run = setUp({
    executeBefore: ["tail -f FOLDER/data/file & tail -f FOLDER/data/file"],
    hookTimeout: "1s",
  });
  const { code, lastLine } = await plasma(run.args);
  assertEquals([code, archivesIn(run.storage)], [1, []]);
  assertMatch(lastLine, /took longer than 1 s; .*hookTimeout/);
  await untilNoProcessNames(run.folder.path);
});

Deno.test("a hook that prints a gigabyte does not grow the program (row 14)", async () => {
  using run = setUp({
    executeBefore: ["head -c 1000000000 /dev/zero | tr '\\0' x", ": >FOLDER/printed; sleep 4711"],
  });
  const { child, output } = startPlasma(run.args, {
    through: ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"],
  });
  let ended = false;
  const end = output.then(() => ended = true);
  const isThere = () => ended || namesIn(run.folder.path).includes("printed");
  await until("the hook has printed all", isThere, 60);
  const kilobytes = memoryOf(child.pid, "VmHWM");
  child.kill("SIGTERM");
  await end;
  assertEquals((await output).code, 128 + 15);
  assertEquals(kilobytes > 10_000 && kilobytes < 150_000, true, `${kilobytes} KiB`);
});

Deno.test("what a hook prints goes to standard error and not to standard output", async () => {
  using run = setUp({
    executeBefore: ["echo to-out; echo to-err >&2"],
    executeAfter: ["echo after"],
  });
  const { code, stdout, stderr } = await plasma(run.args);
  assertEquals(code, 0);
  assertMatch(stdout, /^\S+\.tar\n$/);
  assertMatch(stderr, /^to-out$/m);
  assertMatch(stderr, /^to-err$/m);
});

Deno.test("hooks have an empty standard input", async () => {
  using run = setUp({ executeBefore: ["cat >FOLDER/input"] });
  const { code } = await plasma(run.args, { stdin: "not for hooks" });
  assertEquals([code, Deno.readTextFileSync(run.folder.at("input"))], [0, ""]);
});

Deno.test("a hook's daemon that holds standard error open does not hold up the run", async () => {
  using run = setUp({ executeBefore: ["setsid sleep 4711 & echo $! >FOLDER/daemon"] });
  const stderr = run.folder.write("stderr", "");
  const { child } = startPlasma(run.args, {
    through: ["sh", "-c", `exec "$@" >/dev/null 2>${stderr}`, "sh"],
  });
  const { code } = await child.status;
  const daemon = Number(Deno.readTextFileSync(run.folder.at("daemon")));
  Deno.kill(daemon, "SIGKILL"); // throws if it was gone
  assertEquals(code, 0, Deno.readTextFileSync(stderr));
});

Deno.test("with a tempfile executeAfterSnapshot runs before the upload", async () => {
  using run = setUp({ executeAfterSnapshot: [": >FOLDER/restarted"], bandwidthLimit: "8M" });
  writeLargeData(run.folder);
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  config.tempfile = run.folder.at("staged");
  Deno.writeTextFileSync(run.args[2]!, JSON.stringify(config));
  const { child, output } = startPlasma(run.args);
  await untilMidUpload(run.storage);
  const restarted = namesIn(run.folder.path).includes("restarted");
  child.kill("SIGTERM");
  await output;
  assertEquals(restarted, true);
});

Deno.test("hooks do not run with status 2 or 4", async () => {
  using run = setUp({
    executeOnFailure: [": >FOLDER/failure"],
    executeAlways: [": >FOLDER/always"],
  });
  writeLargeData(run.folder);
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  const wrong = run.folder.write("wrong.json", JSON.stringify({ ...config, strategy: "none" }));
  assertEquals((await plasma(["backup", "--config", wrong])).code, 2);

  const other = startPlasma(["backup", "--to", run.storage, ...slowly, run.folder.at("data")]);
  await until("the other run has begun", () => runFolders(run.storage).length === 1);
  await descendant(other.child.pid, /tar/);
  assertEquals((await plasma(run.args)).code, 4);
  other.child.kill("SIGTERM");
  await other.output;
  const left = namesIn(run.folder.path);
  assertEquals([left.includes("failure"), left.includes("always")], [false, false]);
});
