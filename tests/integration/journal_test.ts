import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { writeSidecar } from "../support/archives.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { claimOf, request, runId, serve } from "../support/serve.ts";
import { measuringMemory } from "../support/processes.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

/** What is known of an archive, however much was written since (row 88). */

const archives = ["20250101-0000-daily.tar", "20250102-0000-daily.tar", "20250103-0000-daily.tar"];

interface Row {
  readonly name: string;
  readonly verified?: string;
  readonly finding?: string;
}

/** A storage folder with sound archives. */
async function makeStorage(folder: TemporaryFolder): Promise<string> {
  const storage = folder.storage("storage");
  await sh("tar", "-cf", folder.at("tar"), "-C", storage, "plasma-rotate.json");
  for (const name of archives) {
    Deno.copyFileSync(folder.at("tar"), `${storage}/${name}`);
    await writeSidecar(storage, name);
  }
  Deno.mkdirSync(`${storage}/.plasma`);
  return storage;
}

/** Append lines to the journal until it has grown by so many bytes. */
function flood(storage: string, bytes: number): void {
  const line = JSON.stringify({
    time: "2026-01-01T00:00:00Z",
    event: "verified",
    archive: "20240101-0000-daily.tar",
    state: "ok",
    deep: true,
  }) + "\n";
  const block = new TextEncoder().encode(line.repeat(10_000));
  using journal = Deno.openSync(`${storage}/.plasma/journal.jsonl`, {
    append: true,
    create: true,
  });
  for (let written = 0; written < bytes; written += block.length) journal.writeSync(block);
}

async function list(storage: string): Promise<{ rows: Row[]; stderr: string }> {
  const { code, stdout, stderr } = await plasma(["list", "--json", "--from", storage]);
  assertEquals(code, 0, stderr);
  return { rows: JSON.parse(stdout).archives, stderr };
}

const findings = async (storage: string) =>
  (await list(storage)).rows.map(({ finding }) => finding ?? "");

const verify = async (storage: string, ...args: string[]) => {
  const { stdout } = await plasma(["verify", "--json", "--from", storage, ...args]);
  return (JSON.parse(stdout) as { name: string; state: string }[]).map(({ name }) => name);
};

const journalOf = (storage: string) =>
  Deno.readTextFileSync(`${storage}/.plasma/journal.jsonl`).trimEnd().split("\n");

Deno.test("row 88: a damaged archive stays damaged whatever is written to the journal", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  const [first, second] = archives as [string, string, string];
  Deno.writeTextFileSync(`${storage}/${first}`, "no tar at all");
  await verify(storage, first);
  await verify(storage, second);
  flood(storage, 3 << 20);
  const { rows } = await list(storage);
  assertEquals(rows.map(({ finding }) => finding), ["damaged", undefined, undefined]);
  assertEquals(rows.map(({ verified }) => verified !== undefined), [true, true, false]);
  const status = await plasma(["status", "--max-age", "9999d", "--critical-age", "9999d", storage]);
  assertEquals(status.code, 2, status.stdout);
  assertStringIncludes(status.stdout, `${first} is damaged`);
});

Deno.test("row 88: samples come round to each archive, whatever is written to the journal", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  const seen: string[] = [];
  for (const _ of archives) {
    seen.push(...await verify(storage, "--sample", "30%"));
    flood(storage, 1 << 20);
  }
  assertEquals(seen.toSorted(), archives);
});

Deno.test("row 88: what a deep verification has found holds until another one", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  const name = archives[0]!;
  const good = Deno.readFileSync(`${storage}/${name}`);
  // As it was stored, but no whole tar.
  Deno.writeFileSync(`${storage}/${name}`, good.slice(0, 700));
  await writeSidecar(storage, name);
  await verify(storage, "--deep", name);
  assertEquals(await findings(storage), ["damaged", "", ""]);
  await verify(storage, name);
  assertEquals(await findings(storage), ["damaged", "", ""], "its checksum is fine");
  Deno.writeFileSync(`${storage}/${name}`, good);
  await writeSidecar(storage, name);
  await verify(storage, name);
  assertEquals(await findings(storage), ["damaged", "", ""]);
  await verify(storage, "--deep", name);
  assertEquals(await findings(storage), ["", "", ""]);

  Deno.removeSync(`${storage}/${name}.sha256`);
  await verify(storage, "--deep", name);
  assertEquals(await findings(storage), ["no checksum", "", ""]);
  await writeSidecar(storage, name);
  await verify(storage, name);
  assertEquals(await findings(storage), ["", "", ""]);
});

Deno.test("row 88: who may read cannot fill the disk with what the journal knows", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  const name = archives[0]!;
  for (const deep of [false, false, true, true, false, true]) {
    const { ok } = await serve(request("verify", { folder: storage, name, deep }));
    assertEquals(ok, true);
  }
  const entries = () => journalOf(storage).map((line) => JSON.parse(line));
  assertEquals(entries().map(({ state, deep }) => [state, deep]), [["ok", false], ["ok", true]]);
  Deno.writeTextFileSync(`${storage}/${name}`, "x");
  for (const _ of [1, 2]) await serve(request("verify", { folder: storage, name }));
  assertEquals(entries().map(({ state }) => state), ["ok", "ok", "damaged"]);
});

Deno.test("row 88: nor with what has a right checksum and wrong data", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  const [name] = archives as [string, ...string[]];
  const verifyNow = async (deep: boolean) => {
    assertEquals((await serve(request("verify", { folder: storage, name, deep }))).ok, true);
  };
  const states = () => journalOf(storage).map((line) => JSON.parse(line).state);
  const good = Deno.readFileSync(`${storage}/${name}`);
  Deno.writeTextFileSync(`${storage}/${name}`, "garbage");
  await writeSidecar(storage, name);
  for (const deep of [true, false, true, false]) await verifyNow(deep);
  assertEquals(states(), ["damaged", "ok"]);
  assertEquals(await findings(storage), ["damaged", "", ""]);
  // What was mended and is broken again is news, though the same was told before.
  const garbage = new TextEncoder().encode("garbage");
  for (const content of [good, garbage, good, garbage]) {
    Deno.writeFileSync(`${storage}/${name}`, content);
    await writeSidecar(storage, name);
    await verifyNow(true);
    assertEquals((await findings(storage))[0] === "damaged", content === garbage);
  }
  // Likewise a checksum that is wrong, right, and wrong again.
  Deno.writeFileSync(`${storage}/${name}`, good);
  await writeSidecar(storage, name);
  for (const content of [garbage, good, garbage]) {
    Deno.writeFileSync(`${storage}/${name}`, content);
    await verifyNow(content === good);
    assertEquals((await findings(storage))[0] === "damaged", content === garbage);
  }
});

Deno.test("row 88: verifications at the same time are all noted", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const names = Array.from({ length: 12 }, (_, index) => `202501${index + 10}-0000-daily.tar`);
  for (const name of names) folder.write(`storage/${name}`, "x");
  Deno.mkdirSync(`${storage}/.plasma`);
  await Promise.all(
    names.map((name) => serve(request("verify", { folder: storage, name }))),
  );
  assertEquals(journalOf(storage).map((line) => JSON.parse(line).archive).toSorted(), names);
});

Deno.test("row 88: what lies in a journal and is no entry is passed over", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  const name = archives[0]!;
  const entry = (more: object) =>
    JSON.stringify({
      time: "2026-01-01T00:00:00Z",
      event: "verified",
      archive: name,
      state: "damaged",
      ...more,
    });
  folder.write(
    "storage/.plasma/journal.jsonl",
    [
      entry({}),
      "x".repeat(5 << 20),
      entry({ state: "ok", deep: true, event: "stored" }),
      entry({ state: "fine", deep: true }),
      entry({ state: "ok", deep: true, time: 5 }),
      entry({ state: "ok", deep: true, archive: [name] }),
      entry({ state: "ok", deep: true }) + "x",
      "null",
      "[]",
      "\0",
      entry({ state: "ok", deep: false, time: "2999-01-01T00:00:00Z" }),
      entry({ state: "ok", deep: true }).slice(0, -1),
    ].join("\n"),
  );
  const { rows } = await list(storage);
  assertEquals(rows[0], { ...rows[0]!, finding: "damaged", verified: "2026-01-01T00:00:00Z" });
});

Deno.test("row 88: that a journal cannot be read is said, and is a warning", async () => {
  using folder = new TemporaryFolder();
  const storage = await makeStorage(folder);
  Deno.mkdirSync(`${storage}/.plasma/journal.jsonl`);
  assertStringIncludes(
    (await plasma(["list", "--from", storage])).stderr,
    "journal cannot be read",
  );
  const status = await plasma(["status", "--max-age", "9999d", "--critical-age", "9999d", storage]);
  assertEquals(status.code, 1);
  assertStringIncludes(status.stdout, "journal cannot be read: it is a folder");
});

/** What a program may need, whatever the length of the journal. */
const mostKilobytes = 120_000;
const mostSeconds = 10;

testThatNeeds(
  ["program python3"],
  "row 88: 100 MB of journal cost little time and memory",
  async () => {
    using folder = new TemporaryFolder();
    const storage = await makeStorage(folder);
    const run = runId();
    const commit = request("commit", { folder: storage, run, kind: "tar", ...claimOf("x") });
    await serve(request("store", { folder: storage, run }, "x"));
    const { answer } = await serve(commit);
    flood(storage, 100 << 20);
    const measure = async (args: string[], stdin = "") => {
      const start = performance.now();
      const { stdout, lastLine } = await plasma(args, { stdin, through: measuringMemory });
      const [kilobytes, seconds] = [Number(lastLine), (performance.now() - start) / 1000];
      assert(kilobytes > 10_000 && kilobytes < mostKilobytes, `${args}: ${kilobytes} KiB`);
      assert(seconds < mostSeconds, `${args}: ${seconds} s`);
      return stdout;
    };
    const again = await measure(["serve"], commit);
    assertEquals(JSON.parse(again), answer, "the commit is known again");
    await measure(["list", "--from", storage]);
    await measure(["status", storage]);
  },
);
