import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { startPlasma } from "../support/plasma.ts";
import { descendants } from "../support/processes.ts";
import { assertNothingLeft, longUpload, writeConfig, writeLargeData } from "../support/runs.ts";
import { plasma } from "../support/plasma.ts";
import { until } from "../support/sh.ts";
import { type Role, UploadUnderWay } from "../support/upload.ts";

const victims: readonly (readonly [way: "local" | "ssh", role: Role, said: RegExp | undefined])[] =
  [
    ["local", "tar", /archive: tar was killed by SIGKILL/],
    ["local", "agent", undefined],
    ["ssh", "tar", /archive: tar was killed by SIGKILL/],
    ["ssh", "ssh", /connection: ssh to 127\.0\.0\.1 was killed by SIGKILL/],
    ["ssh", "ssh master", /connection: ssh to 127\.0\.0\.1 /],
    ["ssh", "sshd child", /connection: ssh to 127\.0\.0\.1 /],
    ["ssh", "plasma serve", /connection: ssh to 127\.0\.0\.1 /],
  ];

for (const [way, role, said] of victims) {
  Deno.test(`kill -9 of ${role} in the middle of an upload (${way}) leaves no archive (rows 21, 23, 25)`, async () => {
    await using upload = await UploadUnderWay.start(way);
    Deno.kill(await upload.processOf(role), "SIGKILL");
    const { code, signal, lastLine } = await upload.agent.output;
    if (said === undefined) assertEquals(signal, "SIGKILL");
    else {
      assertEquals(code, 1);
      assertMatch(lastLine, said);
    }
    await upload.assertHarmless();
  });
}

Deno.test("kill -9 of the agent, alone or with all it has started, leaves no archive (row 23)", async () => {
  // Both at once: what is left of their SSH connections takes some seconds to end.
  // The first is not to be done when the second is under way.
  await using alone = await UploadUnderWay.start("ssh", { bytes: 4 * longUpload });
  await using together = await UploadUnderWay.start("ssh");
  Deno.kill(alone.pid, "SIGKILL");
  const family = [{ pid: together.pid }, ...await descendants(together.pid)];
  for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
    for (const { pid } of family) Deno.kill(pid, signal);
  }
  for (const upload of [alone, together]) {
    assertEquals((await upload.agent.output).signal, "SIGKILL");
  }
  await Promise.all([alone.assertHarmless(), together.assertHarmless()]);
});

Deno.test("a killed tar is no success although all its bytes arrive (row 21)", async () => {
  await using upload = await UploadUnderWay.start("ssh");
  Deno.kill(await upload.processOf("tar"), "SIGTERM");
  const { code, lastLine } = await upload.agent.output;
  assertEquals(code, 1);
  assertMatch(lastLine, /tar was killed by SIGTERM/);
  await upload.assertHarmless();
});

Deno.test("when sshd is gone in the middle of an upload, retries are made and then it fails (row 25)", async () => {
  await using upload = await UploadUnderWay.start("ssh", {
    flags: ["--bandwidth-limit", "8M", "--retries", "1", "--retry-delay", "1s"],
  });
  const connection = await upload.processOf("sshd child");
  Deno.kill(upload.sshd!.pid, "SIGKILL");
  Deno.kill(connection, "SIGKILL");
  const { code, stderr, lastLine } = await upload.agent.output;
  assertEquals(code, 1);
  assertMatch(stderr, /trying again in 1 s \(1 of 1\)/);
  assertMatch(lastLine, /Connection refused/);
  assertEquals(archivesIn(upload.storage).length, 1);
});

const stages = ["executeBefore", "executeAfterSnapshot", "executeAfter", "executeAlways"] as const;

for (const stage of stages) {
  Deno.test(`kill -9 of the agent during ${stage} needs no manual step (rows 13, 23)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const hooks = {
      [stage]: [`: >${folder.at("reached")}; exec tail -f ${folder.at("data/file")}`],
    };
    const { child, output } = startPlasma([
      "backup",
      "--config",
      writeConfig(folder, storage, hooks),
    ]);
    await until(`${stage} is reached`, () => namesIn(folder.path).includes("reached"));
    const stored = archivesIn(storage);
    assertEquals(stored.length, stage === "executeBefore" ? 0 : 1);
    const children = await descendants(child.pid);
    child.kill("SIGKILL");
    // Hooks are the admin's: the one that runs now ends by its own timeout, not with us.
    for (const { pid } of children) Deno.kill(pid, "SIGKILL");
    await output;
    assertEquals(archivesIn(storage), stored);
    const next = await plasma(["backup", "--config", writeConfig(folder, storage)]);
    assertEquals(next.code, 0, next.stderr);
    assertEquals(archivesIn(storage).length, stored.length + 1);
    await assertNothingLeft(storage);
  });
}

Deno.test("a tempfile that a killed run left is gone after the next run (row 23)", async () => {
  using folder = new TemporaryFolder();
  writeLargeData(folder);
  const storage = folder.storage("storage");
  const tempfile = folder.at("staged");
  const config = writeConfig(folder, storage, { tempfile, bandwidthLimit: "8M" });
  const { child, output } = startPlasma(["backup", "--config", config]);
  await until("it is staged", () => namesIn(folder.path).includes("staged"));
  child.kill("SIGKILL");
  await output;
  const next = await plasma(["backup", "--config", writeConfig(folder, storage, { tempfile })]);
  assertEquals(next.code, 0, next.stderr);
  assertEquals(namesIn(folder.path), ["agent.json", "data", "storage"]);
  await assertNothingLeft(storage);
});
