import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { setUpHooks } from "../support/hooks.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { memoryOf, untilNoProcessNames } from "../support/processes.ts";
import { assertNothingLeft, untilMidUpload, writeLargeData } from "../support/runs.ts";
import { until } from "../support/sh.ts";

Deno.test("hooks run in the order of a run, with what they are told of it", async () => {
  const say = (name: string) => [
    `echo "${name} $PLASMA_STATUS $PLASMA_ARCHIVE [$PLASMA_ERROR] $PLASMA_DESTINATION" >>FOLDER/log`,
  ];
  using run = setUpHooks({
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
  using run = setUpHooks({
    executeBefore: ["echo 1 >>FOLDER/log", "echo 2 >>FOLDER/log; exit 7", "echo 3 >>FOLDER/log"],
    executeAfter: ["echo after >>FOLDER/log"],
    executeOnFailure: [
      'echo "failure $PLASMA_STATUS [$PLASMA_ARCHIVE] $PLASMA_ERROR" >>FOLDER/log',
    ],
    executeAlways: ["echo always >>FOLDER/log"],
  });
  const { code, lastLine } = await plasma(run.args);
  assertEquals([code, archivesIn(run.storage)], [1, []]);
  assertMatch(lastLine, /executeBefore\[1\]: echo exited with status 7/);
  const [one, two, failure, always] = run.lines("log");
  assertEquals([one, two, always], ["1", "2", "always"]);
  assertMatch(failure!, /^failure 1 \[\] executeBefore\[1\]: echo exited with status 7/);
  await assertNothingLeft(run.storage);
});

Deno.test("all after-hooks run although one fails, and the archive stays (row 15)", async () => {
  using run = setUpHooks({
    executeAfter: ["exit 1", "echo 2 >>FOLDER/log", "kill -9 $$", "echo 4 >>FOLDER/log"],
    executeOnFailure: ['echo "failure $PLASMA_STATUS $PLASMA_ARCHIVE" >>FOLDER/log'],
  });
  const { code, stdout, lastLine } = await plasma(run.args);
  assertEquals([code, archivesIn(run.storage)], [3, [stdout.trimEnd()]]);
  assertEquals(run.lines("log"), ["2", "4", `failure 3 ${stdout.trimEnd()}`]);
  assertMatch(lastLine, /stored, but executeAfter\[0\]: exit exited with status 1/);
  assertMatch(lastLine, /executeAfter\[2\]: kill /);
});

for (
  const [key, command] of [["executeOnFailure", "exit 1"], ["executeAlways", "exit 1"]] as const
) {
  Deno.test(`a failing ${key} hook is told and leaves the archive`, async () => {
    using run = setUpHooks({ executeAfter: ["exit 1"], [key]: [command] });
    const { code, lastLine } = await plasma(run.args);
    assertEquals([code, archivesIn(run.storage).length], [3, 1]);
    assertStringIncludes(lastLine, key);
  });
}

Deno.test("a hook that hangs ends with hookTimeout, with all that it has started (row 14)", async () => {
  using run = setUpHooks({
    executeBefore: ["tail -f FOLDER/data/file & tail -f FOLDER/data/file"],
    hookTimeout: "1s",
  });
  const { code, lastLine } = await plasma(run.args);
  assertEquals([code, archivesIn(run.storage)], [1, []]);
  assertMatch(lastLine, /took longer than 1 s; .*hookTimeout/);
  await untilNoProcessNames(run.folder.path);
});

Deno.test("a hook that prints a gigabyte does not grow the program (row 14)", async () => {
  using run = setUpHooks({
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
  using run = setUpHooks({
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
  using run = setUpHooks({ executeBefore: ["cat >FOLDER/input"] });
  const { code } = await plasma(run.args, { stdin: "not for hooks" });
  assertEquals([code, Deno.readTextFileSync(run.folder.at("input"))], [0, ""]);
});

Deno.test("a hook's daemon that holds standard error open does not hold up the run", async () => {
  using run = setUpHooks({ executeBefore: ["setsid sleep 4711 & echo $! >FOLDER/daemon"] });
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
  using run = setUpHooks({ executeAfterSnapshot: [": >FOLDER/restarted"], bandwidthLimit: "8M" });
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

const secret = "hunter2";

Deno.test("row 92: what hooks hold is only told with --verbose, whatever goes wrong", async () => {
  const hook = `PASSWORD=${secret} sh -c 'exit 7' --password=${secret}`;
  const keys = ["executeAfterSnapshot", "executeAfter", "executeOnFailure", "executeAlways"];
  const told = `printf %s "$PLASMA_ERROR" >FOLDER/error`;
  using run = setUpHooks({
    ...Object.fromEntries(keys.map((key) => [key, [hook]])),
    executeAlways: [hook, told],
  });
  const well = await plasma([...run.args, "--json"]);
  assertEquals(well.code, 3);
  assertEquals((well.stdout + well.stderr).includes(secret), false, well.stderr);
  for (const key of keys) assertStringIncludes(well.lastLine, `${key}[0]: sh exited with status 7`);
  assertStringIncludes(JSON.parse(well.stdout).error, "executeAlways[0]: sh exited with status 7");
  assertMatch(run.lines("error")[0]!, /^executeAfterSnapshot\[0\]: sh exited .*executeOnFailure/);

  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  const bad = { executeBefore: ["true", hook], executeOnFailure: [], executeAlways: [told] };
  Deno.writeTextFileSync(run.args[2]!, JSON.stringify({ ...config, ...bad }));
  const failed = await plasma(run.args);
  assertEquals(failed.code, 1);
  assertEquals((failed.stdout + failed.stderr + run.lines("error").join()).includes(secret), false);
  assertStringIncludes(failed.lastLine, "executeBefore[1]: sh exited with status 7");
  const verbose = await plasma([...run.args, "--verbose"]);
  assertStringIncludes(verbose.stderr, `executeBefore[1]: ${hook}`);
  assertEquals(verbose.lastLine.includes(secret), false);

  const late = { executeBefore: [`PASSWORD=${secret} sleep 4711 # ${secret}`], hookTimeout: "1s" };
  Deno.writeTextFileSync(run.args[2]!, JSON.stringify({ ...config, ...late }));
  const { lastLine, stderr } = await plasma(run.args);
  assertMatch(lastLine, /executeBefore\[0\]: sleep took longer than 1 s/);
  assertEquals(stderr.includes(secret), false);
});

Deno.test("row 92: a config with faults does not show what its hooks hold", async () => {
  using run = setUpHooks({});
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  const hook = `PASSWORD=${secret} run`;
  const wrong = [
    ...[hook, { hook }, [[hook]], [{ hook }], [`${hook}\0`], [hook.repeat(10_000)]].map((value) =>
      JSON.stringify({ ...config, executeBefore: value })
    ),
    `{"executeBefore": [${hook}]}`,
    `{"executeBefore": ["${hook}\n"]}`,
    `{"executeBefore": ['${hook}']}`,
    `{"executeBefore": ["${hook}" ${hook}]}`,
  ];
  for (const text of wrong) {
    Deno.writeTextFileSync(run.args[2]!, text);
    const { code, stdout, stderr } = await plasma(run.args);
    assertEquals([code, (stdout + stderr).includes(secret)], [2, false], stderr.slice(0, 2000));
  }
});

Deno.test("row 86: failure and always hooks start, whatever the run has to tell them", async () => {
  // 300 folders with long names that are missing, each named in the error of the run.
  using run = setUpHooks({
    executeOnFailure: ['printf %s "$PLASMA_ERROR" >FOLDER/failure'],
    executeAlways: ['printf %s "$PLASMA_ERROR" >FOLDER/always', "env >FOLDER/environment"],
  });
  const nasty = `\n\x1b[31m\u009b${"ü".repeat(110)}`;
  const file = `${run.folder.at("data")}/${nasty}`;
  Deno.writeTextFileSync(file, "");
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  const folders = Array.from({ length: 600 }, (_, index) => `${file}${index}/${"y".repeat(240)}`);
  Deno.writeTextFileSync(run.args[2]!, JSON.stringify({ ...config, folders }));
  const { code, stderr } = await plasma(run.args, {
    environment: { TZ: "x".repeat(100_000), TERM: "a\nb" },
  });
  assertEquals(code, 1, stderr.slice(0, 2000));
  for (const name of ["failure", "always"]) {
    const error = Deno.readTextFileSync(run.folder.at(name));
    // deno-lint-ignore no-control-regex
    assertEquals(/[\x00-\x1f\x7f-\x9f]/.test(error), false, error);
    assertEquals(new TextEncoder().encode(error).length <= 4096, true);
    assertStringIncludes(error, "\\n\\x1b[31m\\x9b");
  }
  await assertNothingLeft(run.storage);
});

Deno.test("row 86: a variable that is not UTF-8 keeps no run and no hook from starting", async () => {
  using run = setUpHooks({ executeAlways: ['echo "$TZ|$TERM" >FOLDER/log'] });
  const { code, stderr } = await plasma(run.args, {
    environment: { TERM: "dumb" },
    through: [
      "sh",
      "-c",
      'TZ=$(printf "a\\377b") XDG_RUNTIME_DIR=$TZ NO_COLOR=$TZ exec "$@"',
      "sh",
    ],
  });
  assertEquals([code, run.lines("log")], [0, ["|dumb"]], stderr);
});

Deno.test("row 86: a hook that cannot be started is told, and the others run", async () => {
  using run = setUpHooks({
    executeAfter: [`: ${"x".repeat(99_000)}`, ": >FOLDER/second"],
    executeAlways: [": >FOLDER/always"],
  });
  // With so little room for arguments execve(2) fails for the first one.
  const { code, lastLine, stderr } = await plasma(run.args, {
    through: ["sh", "-c", 'ulimit -s 1024; exec "$@"', "sh"],
    environment: { TZ: "x".repeat(100_000), TERM: "x".repeat(65_000) },
  });
  assertEquals(code, 3, stderr.slice(0, 2000));
  assertMatch(lastLine, /executeAfter\[0\]: .*cannot be started/);
  const left = namesIn(run.folder.path);
  assertEquals([left.includes("second"), left.includes("always")], [true, true]);
});
