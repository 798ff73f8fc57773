import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { startPlasma, untilEnded } from "../support/plasma.ts";
import { descendants, untilNoProcessNames } from "../support/processes.ts";
import { assertNothingLeft, writeConfig } from "../support/runs.ts";
import { until } from "../support/sh.ts";
import { fingerprints } from "../support/storage.ts";
import { UploadUnderWay } from "../support/upload.ts";

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
type EndingSignal = keyof typeof numbers;
const signals = Object.keys(numbers) as EndingSignal[];

for (const way of ["local", "ssh"] as const) {
  for (const signal of way === "local" ? signals : ["SIGTERM"] as const) {
    Deno.test(`${signal} in the middle of an upload (${way}) ends the run cleanly (row 22)`, async () => {
      await using upload = await UploadUnderWay.start(way);
      upload.agent.child.kill(signal);
      const { code, stdout, lastLine } = await upload.agent.output;
      assertEquals([code, stdout], [128 + numbers[signal], ""]);
      assertEquals(lastLine, `plasma: run: ended by ${signal}`);
      // Not only after the next run:
      await assertNothingLeft(upload.storage, upload.destination);
      await upload.assertHarmless();
    });
  }
}

for (
  const [what, makeFlags] of [
    ["slow", () => []],
    ["staged and slow", (path: string) => ["--tempfile", path]],
  ] as const
) {
  Deno.test(`a signal ends a ${what} upload at once, whatever the bandwidth limit`, async () => {
    using folder = new TemporaryFolder();
    const flags = ["--bandwidth-limit", "64K", ...makeFlags(folder.at("staged"))];
    await using upload = await UploadUnderWay.start("local", { flags, middle: 1 });
    upload.agent.child.kill("SIGTERM");
    await untilEnded(upload.agent.output, 10);
    assertEquals((await upload.agent.output).code, 128 + 15);
    assertEquals(namesIn(folder.path), []);
    await upload.assertHarmless();
  });
}

/** Start a run that stays in a hook, and wait until it is there. */
async function stayIn(stage: string, folder: TemporaryFolder, more: object = {}) {
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const stay = `echo ${stage} >>${folder.at("log")}; tail -f ${folder.at("data/file")}`;
  const config = writeConfig(folder, storage, {
    [stage]: [stay, `echo next >>${folder.at("log")}`],
    ...more,
  });
  const run = startPlasma(["backup", "--config", config]);
  await until(`${stage} is reached`, () => namesIn(folder.path).includes("log"));
  await until("its tail runs", async () => {
    return (await descendants(run.child.pid)).some(({ command }) => command.startsWith("tail -f"));
  });
  return { ...run, storage, config };
}

const last = (folder: TemporaryFolder) => ({
  executeOnFailure: [`echo "failure $PLASMA_STATUS $PLASMA_ARCHIVE" >>${folder.at("log")}`],
  executeAlways: [`echo always >>${folder.at("log")}`],
});

for (const signal of signals) {
  for (const stage of ["executeBefore", "executeAfterSnapshot", "executeAfter"]) {
    Deno.test(`${signal} during ${stage} ends the hook and the run (row 22)`, async () => {
      using folder = new TemporaryFolder();
      const { child, output, storage } = await stayIn(stage, folder, last(folder));
      child.kill(signal);
      const { code, lastLine } = await output;
      const status = 128 + numbers[signal];
      assertEquals(code, status);
      assertStringIncludes(lastLine, `ended by ${signal}`);
      const archives = archivesIn(storage);
      assertEquals(archives.length, stage === "executeBefore" ? 0 : 1);
      const log = Deno.readTextFileSync(folder.at("log")).trimEnd().split("\n");
      assertEquals(log, [stage, `failure ${status} ${archives[0] ?? ""}`, "always"]);
      if (archives.length > 0) assertMatch(lastLine, /stored, but /);
      await assertNothingLeft(storage);
      await untilNoProcessNames(folder.path);
    });
  }
}

Deno.test("a second signal ends the hooks after a failure too (row 22)", async () => {
  using folder = new TemporaryFolder();
  const stay = `echo failure >>${folder.at("log")}; tail -f ${folder.at("data/file")}`;
  const more = { executeOnFailure: [stay, `echo no >>${folder.at("log")}`] };
  const { child, output, storage } = await stayIn("executeBefore", folder, more);
  child.kill("SIGINT");
  await until("executeOnFailure is reached", () => {
    return Deno.readTextFileSync(folder.at("log")) === "executeBefore\nfailure\n";
  });
  child.kill("SIGTERM");
  const { code } = await output;
  assertEquals(code, 128 + 2);
  assertEquals(Deno.readTextFileSync(folder.at("log")), "executeBefore\nfailure\n");
  await untilNoProcessNames(folder.path);
  await assertNothingLeft(storage);
});

Deno.test("two signals at once are as good as one (row 22)", async () => {
  await using upload = await UploadUnderWay.start("ssh");
  upload.agent.child.kill("SIGTERM");
  upload.agent.child.kill("SIGINT");
  const { code } = await upload.agent.output;
  assertEquals([143, 130].includes(code), true, `${code}`);
  await assertNothingLeft(upload.storage, upload.destination);
  await upload.assertHarmless();
});

Deno.test("a signal to the whole group, as a terminal sends it, ends the run cleanly (row 22)", async () => {
  await using upload = await UploadUnderWay.start("ssh");
  const family = await descendants(upload.pid);
  for (const pid of [...family.map(({ pid }) => pid), upload.pid]) Deno.kill(pid, "SIGINT");
  const { code } = await upload.agent.output;
  assertEquals(code, 130);
  await upload.assertHarmless();
});

Deno.test("a signal while the archive is staged leaves no tempfile (row 22)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/large", new Uint8Array(64 << 20).fill(7));
  const storage = folder.storage("storage");
  const before = await fingerprints(storage);
  const config = writeConfig(folder, storage, { tempfile: folder.at("staged") });
  const { child, output } = startPlasma(["backup", "--config", config]);
  await until("it is being staged", () => namesIn(folder.path).includes("staged"));
  child.kill("SIGTERM");
  assertEquals((await output).code, 143);
  assertEquals(namesIn(folder.path), ["agent.json", "data", "storage"]);
  assertEquals(await fingerprints(storage), before);
  await assertNothingLeft(storage);
});
