import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { setUpHooks } from "../support/hooks.ts";
import { plasma, plasmaProgram, startPlasma } from "../support/plasma.ts";
import { descendant } from "../support/processes.ts";
import { runFolders, slowly, writeLargeData } from "../support/runs.ts";
import { until } from "../support/sh.ts";

/** Whatever becomes of a run, its hooks keep their promise. */

Deno.test("row 59: hooks run whatever went wrong, but for a config that cannot be read", async () => {
  const hooks = {
    executeOnFailure: ['echo "failure $PLASMA_STATUS" >>FOLDER/log'],
    executeAlways: ['echo "always $PLASMA_STATUS" >>FOLDER/log'],
  };
  using run = setUpHooks(hooks);
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  const wrong = run.folder.write("wrong.json", JSON.stringify({ ...config, strategy: "none" }));
  assertEquals((await plasma(["backup", "--config", wrong])).code, 2);
  assertEquals(namesIn(run.folder.path).includes("log"), false);

  const status = async (more: object, breaking?: () => void, mending?: () => void) => {
    Deno.writeTextFileSync(run.args[2]!, JSON.stringify({ ...config, ...more }));
    breaking?.();
    Deno.writeTextFileSync(run.folder.at("log"), "");
    const { code } = await plasma(run.args);
    mending?.();
    assertEquals(archivesIn(run.storage), []);
    return [code, ...run.lines("log")];
  };
  const policy = `${run.storage}/plasma-rotate.json`;
  const rename = (from: string, to: string) => () => Deno.renameSync(from, to);
  // Nothing was run before: 2.
  const two = [2, "failure 2", "always 2"];
  const noKey = { ssh: { host: "host.invalid", identityFile: run.folder.at("no-key") } };
  assertEquals(await status(noKey), two);
  assertEquals(await status({ encryption: { recipientsFile: run.folder.at("none") } }), two);
  const good = Deno.readTextFileSync(policy);
  const bad = () => Deno.writeTextFileSync(policy, '{"policy": {"daily": "x"}}');
  const well = () => Deno.writeTextFileSync(policy, good);
  assertEquals(await status({}, bad, well), two);
  // There is no policy: that is no config of ours that is wrong.
  const one = [1, "failure 1", "always 1"];
  assertEquals(
    await status({}, rename(policy, `${policy}-`), rename(`${policy}-`, policy)),
    one,
  );
  // executeBefore has run: from then on it is a run that failed.
  const executeBefore = [`echo before >>${run.folder.at("log")}; echo broken >${policy}`];
  assertEquals(await status({ executeBefore }, undefined, well), [
    1,
    "before",
    "failure 1",
    "always 1",
  ]);
});

Deno.test("row 59: what executeBefore has stopped is started again, wherever the run fails", async () => {
  using run = setUpHooks({
    executeBefore: [": >FOLDER/stopped"],
    executeAfterSnapshot: ["rm FOLDER/stopped; echo started >>FOLDER/log"],
    executeAlways: ["echo always >>FOLDER/log"],
  });
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  const fails = async (more: object) => {
    Deno.writeTextFileSync(run.args[2]!, JSON.stringify({ ...config, ...more }));
    Deno.writeTextFileSync(run.folder.at("log"), "");
    const { code } = await plasma(run.args);
    assertEquals([code, archivesIn(run.storage)], [1, []]);
    assertEquals(run.lines("log"), ["started", "always"]);
    assertEquals(namesIn(run.folder.path).includes("stopped"), false);
  };
  await fails({ executeBefore: [...config.executeBefore, "exit 1"] });
  await fails({ folders: [run.folder.at("nothing")] });
  await fails({ tempfile: run.folder.at("data") });
  run.folder.write("bin/tar", "#!/bin/sh\n[ $1 = --version ] && exec /bin/tar $1; exit 9\n");
  Deno.chmodSync(run.folder.at("bin/tar"), 0o755);
  const path = `${run.folder.at("bin")}:${Deno.env.get("PATH")}`;
  Deno.writeTextFileSync(run.args[2]!, JSON.stringify(config));
  Deno.writeTextFileSync(run.folder.at("log"), "");
  const { code } = await plasma(run.args, { environment: { PATH: path } });
  assertEquals([code, run.lines("log")], [1, ["started", "always"]]);
});

Deno.test("row 59: a signal does not keep executeAfterSnapshot from starting what was stopped", async () => {
  using run = setUpHooks({
    executeBefore: [": >FOLDER/stopped"],
    executeAfterSnapshot: [": >FOLDER/begun; sleep 2", "rm FOLDER/stopped"],
    executeAlways: ["echo always >>FOLDER/log"],
  });
  const { child, output } = startPlasma(run.args);
  await until("the hook has begun", () => namesIn(run.folder.path).includes("begun"));
  child.kill("SIGTERM");
  const { code, stderr } = await output;
  assertEquals([code, namesIn(run.folder.path).includes("stopped")], [128 + 15, false], stderr);
  assertEquals(run.lines("log"), ["always"]);
});

Deno.test("hooks do not run with status 4", async () => {
  using run = setUpHooks({
    executeOnFailure: [": >FOLDER/failure"],
    executeAlways: [": >FOLDER/always"],
  });
  writeLargeData(run.folder);
  const other = startPlasma(["backup", "--to", run.storage, ...slowly, run.folder.at("data")]);
  await until("the other run has begun", () => runFolders(run.storage).length === 1);
  await descendant(other.child.pid, /tar/);
  assertEquals((await plasma(run.args)).code, 4);
  other.child.kill("SIGTERM");
  await other.output;
  const left = namesIn(run.folder.path);
  assertEquals([left.includes("failure"), left.includes("always")], [false, false]);
});

Deno.test("row 76: only time tells that a hook took too long", async () => {
  using run = setUpHooks({ executeBefore: ["exit 124"], hookTimeout: "1h" });
  const early = await plasma(run.args);
  assertMatch(early.lastLine, /executeBefore\[0\]: exit exited with status 124; mend it$/);
  const config = JSON.parse(Deno.readTextFileSync(run.args[2]!));
  // It notices SIGTERM, and ends as if all were well.
  const executeBefore = ["trap 'exit 0' TERM; sleep 4711 & wait"];
  const more = { ...config, executeBefore, hookTimeout: "1s" };
  Deno.writeTextFileSync(run.args[2]!, JSON.stringify(more));
  const late = await plasma(run.args);
  assertEquals([late.code, archivesIn(run.storage)], [1, []]);
  assertMatch(late.lastLine, /took longer than 1 s/);
});

Deno.test("row 76: hooks have no terminal to ask something on", async () => {
  using run = setUpHooks({
    executeBefore: ["(cat </dev/tty) 2>FOLDER/told; [ $? -ne 0 ]", "! tty -s"],
  });
  const command = [plasmaProgram, ...run.args].map((word) => `'${word}'`).join(" ");
  // script(1) runs it on a terminal of its own.
  const { code, stdout } = await new Deno.Command("timeout", {
    args: ["30", "script", "--return", "--quiet", "--command", command, "/dev/null"],
    stdin: "null",
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stdout));
  assertMatch(Deno.readTextFileSync(run.folder.at("told")), /No such device or address/);
});
