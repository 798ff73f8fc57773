import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { formatManifest } from "../../src/stores/manifest.ts";
import { piped, plasma, plasmaProgram, startPlasma } from "../support/plasma.ts";
import { request, runId, serve } from "../support/serve.ts";
import { assertNothingLeft, writeLargeData } from "../support/runs.ts";
import { until } from "../support/sh.ts";
import { Sshd } from "../support/sshd.ts";
import { ageUploads } from "../support/storage.ts";

const codeIn = ({ answer }: { answer: Record<string, unknown> }) =>
  (answer.error as { code: string } | undefined)?.code;

/** Each session an agent of its own: what other runs of the same agent began is taken for dead. */
const ownerOf = (number: number) => `fedcba${number.toString(16).padStart(2, "0")}`;

/** Begin to store something; the rest never comes. */
function beginStore(storage: string, flags: readonly string[], number: number) {
  const session = startPlasma(["serve", ...flags], { stdin: piped });
  const writer = session.child.stdin.getWriter();
  const line = request("store", { folder: storage, run: runId(number, ownerOf(number)) }, "begun");
  const sent = writer.write(new TextEncoder().encode(line)).catch(() => {});
  return { ...session, sent, end: () => writer.close().catch(() => {}) };
}

Deno.test("row 51: --max-size ends an upload that is larger, and the agent is told", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const limits = `--root ${storage} --allow store --max-size 2M`;
  await using sshd = await Sshd.start({
    forcedOptions: `command="${plasmaProgram} serve ${limits}",restrict`,
  });
  const destination = sshd.destination(storage);
  const data = writeLargeData(folder, 64 << 20);
  const large = await plasma(["backup", "--to", ...destination, data]);
  assertEquals([large.code, archivesIn(storage)], [1, []]);
  assertStringIncludes(large.lastLine, "--max-size, 2097152 bytes");
  await assertNothingLeft(storage, destination[0]);
  writeLargeData(folder, 1 << 20);
  const small = await plasma(["backup", "--to", ...destination, data]);
  assertEquals(small.code, 0, small.stderr);
});

Deno.test("row 51: an upload has just the size that it may have, or it is refused", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const store = (bytes: number, number: number) =>
    serve(request("store", { folder: storage, run: runId(number) }, "x".repeat(bytes)), [
      "--max-size=100K",
    ]);
  assertEquals((await store(102_400, 1)).ok, true);
  const refused = await store(102_401, 2);
  assertEquals([refused.ok, codeIn(refused)], [false, "max-size"]);
  const left = namesIn(`${storage}/.plasma/incoming`);
  assertEquals(left, [`${runId(1)}.part`, `${runId(1)}.received`]);
});

Deno.test("row 51: a key has no more than so many uploads, complete or not", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const flags = ["--root", storage, "--allow", "store", "--max-uploads", "2"];
  const store = (number: number, target: string) =>
    serve(request("store", { folder: storage, run: runId(number, target) }, "x"), flags);
  assertEquals((await store(1, "00000001")).ok, true);
  const running = beginStore(storage, flags, 2);
  await until("it is begun", () => namesIn(`${storage}/.plasma/incoming`).length === 3);
  const refused = await store(3, "00000003");
  assertEquals([refused.ok, codeIn(refused)], [false, "max-uploads"]);
  assertStringIncludes(refused.message, "2 uploads are under way");
  assertStringIncludes(refused.message, "--max-uploads 2");
  assertEquals(namesIn(`${storage}/.plasma/incoming`).length, 3);
  running.child.kill("SIGKILL");
  await running.output;
  // What is dead and one's own does not count.
  await ageUploads(storage);
  assertEquals((await store(3, "00000001")).ok, true);
});

Deno.test("row 51: with --root there are four uploads at most, however many begin", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const flags = ["--root", storage, "--allow", "store"];
  const sessions = Array.from({ length: 12 }, (_, number) => beginStore(storage, flags, number));
  let refused = 0;
  for (const { output } of sessions) {
    output.then(({ stdout }) => stdout.includes('"max-uploads"') && refused++);
  }
  await until("eight are refused", () => refused >= 8);
  // One that begins may still try something there.
  const isFew = () => namesIn(`${storage}/.plasma/incoming`).length <= 4;
  await until("four are left", isFew);
  for (const { end } of sessions) await end();
  await Promise.all(sessions.map(({ output, sent }) => Promise.all([output, sent])));
});

Deno.test("row 51: uploads that nobody writes any more keep no place, whoever began them", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const incoming = `${storage}/.plasma/incoming`;
  const flags = ["--root", storage, "--allow", "store", "--max-uploads", "2"];
  const sessions = [1, 2].map((number) => beginStore(storage, flags, number));
  await until("both are begun", () => namesIn(incoming).length === 2);
  for (const { child, output } of sessions) {
    child.kill("SIGKILL");
    await output;
  }
  const store = (number: number) =>
    serve(request("store", { folder: storage, run: runId(number, ownerOf(number)) }, "x"), flags);
  assertEquals(codeIn(await store(3)), undefined);
  assertEquals(namesIn(incoming), [
    `${runId(3, ownerOf(3))}.part`,
    `${runId(3, ownerOf(3))}.received`,
  ]);
  // Complete ones do, until it is clear that nobody commits them.
  assertEquals([codeIn(await store(4)), codeIn(await store(5))], [undefined, "max-uploads"]);
  await ageUploads(storage);
  assertEquals(codeIn(await store(5)), undefined);
});

Deno.test("row 51: what cannot be removed stops no upload and keeps no place", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const incoming = `${storage}/.plasma/incoming`;
  const flags = ["--root", storage, "--allow", "store", "--max-uploads", "1"];
  const stuck = `${runId(1, ownerOf(1))}.received`;
  Deno.mkdirSync(`${incoming}/${stuck}/not-empty`, { recursive: true });
  Deno.chmodSync(incoming, 0o700);
  const run = runId(2, ownerOf(2));
  assertEquals(
    codeIn(await serve(request("store", { folder: storage, run }, "x"), flags)),
    undefined,
  );
  assert(namesIn(incoming).includes(stuck));
  const { stdout } = await plasma(["status", storage]);
  assertStringIncludes(stdout, "1 torn uploads");
});

Deno.test("row 51: an upload of which nothing comes any more is given up and removed", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const session = beginStore(storage, ["--idle-timeout", "2s"], 1);
  const { code, stdout } = await session.output;
  const { error } = JSON.parse(stdout);
  assertEquals([code, error.code], [1, "idle"]);
  assertStringIncludes(error.message, "nothing came for 2 s");
  assertEquals(namesIn(`${storage}/.plasma/incoming`), []);
  await session.end();
});

Deno.test("row 51: an upload that goes on slowly is not given up", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const { child, output } = startPlasma(["serve", "--idle-timeout", "2s"], { stdin: piped });
  const writer = child.stdin.getWriter();
  const send = (text: string) => writer.write(new TextEncoder().encode(text));
  await send(request("store", { folder: storage, run: runId() }));
  for (let step = 0; step < 8; step++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await send("x");
  }
  await writer.close();
  assertEquals(JSON.parse((await output).stdout).bytes, 8);
});

Deno.test("a limit that makes no sense is a usage error", async () => {
  const wrong = ["--max-size=0", "--max-size=x", "--max-uploads=0", "--max-uploads=1.5"];
  for (const flag of [...wrong, "--max-uploads=-1", "--idle-timeout=15", "--idle-timeout=0s"]) {
    const { code, lastLine, stdout } = await plasma(["serve", flag]);
    assertEquals([code, stdout], [2, ""], flag);
    assertStringIncludes(lastLine, flag.split("=")[0]!);
  }
});

/** KiB that a process has for itself, and its share of what it shares with others (PSS). */
function memoryOf(pid: number): number {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
    return Number(/^Pss: *(\d+) kB$/m.exec(text)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

Deno.test("row 51: 1000 connections at once take less than 2 GB, and end", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const flags = ["--root", storage, "--allow", "store"];
  // As many as there are places for are served; of the others 300 show what 1000 do.
  const sessions = Array.from(
    { length: 300 },
    () => startPlasma(["serve", ...flags], { stdin: piped }),
  );
  let ended = 0;
  for (const { output } of sessions) output.finally(() => ended++);
  await until("most are refused", () => ended >= 300 - 64, 120);
  const living = sessions.map(({ child }) => memoryOf(child.pid)).filter((memory) => memory > 0);
  const megabytes = living.reduce((sum, memory) => sum + memory, 0) / 1024;
  assert(living.length <= 64 && megabytes < 2000, `${living.length} take ${megabytes} MB`);
  const outputs = await Promise.all(sessions.map(({ output }) => output));
  const codes = outputs.map(({ stdout }) => JSON.parse(stdout).error.code);
  const busy = codes.filter((code) => code === "busy").length;
  assertEquals(codes.filter((code) => code === "timeout").length, 300 - busy);
  // On a machine with much else to do the first ones are given up before the last ones come.
  assert(busy > 0);
  for (const { child } of sessions) await child.stdin.close().catch(() => {});
});

Deno.test("row 51: requests to a folder that takes much memory take turns", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  // As many subvolumes, and as much about them, as an archive can hold.
  const subvolumes = Array.from({ length: 10_000 }, (_, index) => ({
    name: `s${index}`,
    path: `/${"x".repeat(730)}`,
    identity: `11111111-2222-3333-4444-${index.toString(16).padStart(12, "0")}`,
  }));
  for (const day of ["01", "02"]) {
    const archive = folder.at(`storage/202001${day}-0000-daily.btrfs`);
    Deno.mkdirSync(archive);
    for (const { name } of subvolumes) Deno.mkdirSync(`${archive}/${name}`);
    const manifest = formatManifest({ version: 2, run: runId(), bytes: 1, subvolumes });
    Deno.writeTextFileSync(`${archive}/manifest.json`, manifest);
  }
  let [ended, most] = [0, 0];
  const sessions = Array.from({ length: 24 }, () => {
    const stdin = request("list", { folder: storage });
    return startPlasma(["serve", "--root", storage], { stdin });
  });
  const answers = sessions.map(async ({ output }) => {
    const { stdout, stderr } = await output;
    ended++;
    assertEquals(stderr, "");
    return JSON.parse(stdout).archives?.length;
  });
  while (ended < sessions.length) {
    const sum = sessions.reduce((sum, { child }) => sum + memoryOf(child.pid), 0) / 1024;
    most = Math.max(most, sum);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assertEquals(await Promise.all(answers), sessions.map(() => 2));
  assert(most > 100 && most < 1500, `they take ${most} MB`);
});
