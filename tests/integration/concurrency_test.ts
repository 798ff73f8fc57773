import { assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { descendants } from "../support/processes.ts";
import {
  assertNothingLeft,
  listedIn,
  lockOf,
  runFolders,
  slowly,
  untilMidUpload,
  writeConfig,
  writeLargeData,
} from "../support/runs.ts";
import { tryRun, until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify } from "../support/storage.ts";

for (const way of ["local", "ssh"] as const) {
  Deno.test(`of two agents at once (${way}) one works, the other ends with status 4 (row 12)`, async () => {
    using folder = new TemporaryFolder();
    const data = writeLargeData(folder, 20 << 20);
    const storage = folder.storage("storage");
    await using sshd = await Sshd.start();
    const destination = way === "ssh" ? sshd.destination(storage) : [storage];
    const args = ["backup", "--to", ...destination, ...slowly, data];
    const first = startPlasma(args);
    await untilMidUpload(storage);
    const second = await plasma(args);
    assertEquals([second.code, second.stdout], [4, ""]);
    assertStringIncludes(second.lastLine, "another backup to ");
    const { code, stdout, stderr } = await first.output;
    assertEquals(code, 0, stderr);
    assertEquals(archivesIn(storage), [stdout.trimEnd()]);
    await assertAllVerify(storage);
    await assertNothingLeft(storage, destination[0]);
  });
}

Deno.test("of many agents that start at once one works, the others end with status 4 (row 12)", async () => {
  using folder = new TemporaryFolder();
  const data = writeLargeData(folder, 8 << 20);
  const storage = folder.storage("storage");
  const args = ["backup", "--to", storage, "--bandwidth-limit", "2M", data];
  const outputs = await Promise.all([1, 2, 3, 4, 5].map(() => plasma(args)));
  const codes = outputs.map(({ code }) => code).sort();
  assertEquals(codes, [0, 4, 4, 4, 4]);
  assertEquals(archivesIn(storage).length, 1);
  await assertAllVerify(storage);
  await assertNothingLeft(storage);
});

Deno.test("agents with other sources and ways share a storage folder without harm", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 100, weekly: 100, monthly: 100 });
  await using sshd = await Sshd.start();
  folder.write("data/file", "content");
  Deno.symlinkSync(".", folder.at("link"));
  const ways = [[storage], [folder.at("link/storage")], sshd.destination(storage)];
  const outputs = await Promise.all(
    ways.map((way) => plasma(["backup", "--to", ...way, folder.at("data")])),
  );
  assertEquals(outputs.map(({ code }) => code), [0, 0, 0], outputs.map((o) => o.stderr).join());
  assertEquals(archivesIn(storage), outputs.map(({ stdout }) => stdout.trimEnd()).sort());
  await assertAllVerify(storage);
  assertEquals(namesIn(`${storage}/.plasma/incoming`), []);
});

Deno.test("runs in one minute get distinct names, the later ones with seconds (row 35)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage", { daily: 100, weekly: 100, monthly: 100 });
  const names = [];
  for (let run = 0; run < 4; run++) {
    const { code, stdout, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
    assertEquals(code, 0, stderr);
    names.push(stdout.trimEnd());
  }
  assertEquals(new Set(names).size, 4);
  assertEquals(names.some((name) => /^\d{8}-\d{6}-/.test(name)), true);
  assertEquals(await listedIn(storage), names.toSorted());
  // A period that has its archive gives no second one.
  const labels = names.map((name) => /-([a-z]+)\.tar$/.exec(name)![1]);
  assertEquals(labels.slice(1), ["daily", "daily", "daily"]);
});

Deno.test("many agents with destinations of their own do not get into each other's way", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const backups = async (agent: number) => {
    const storage = folder.storage(`storage${agent}`, { daily: 100 });
    for (let run = 0; run < 6; run++) {
      const { code, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
      assertEquals(code, 0, stderr);
    }
    assertEquals(archivesIn(storage).length, 6);
    await assertNothingLeft(storage);
  };
  await Promise.all(Array.from({ length: 6 }, (_, agent) => backups(agent)));
});

testThatNeeds(
  ["root", "program strace"],
  "to look whether a run is dead does not hold up the next one (row 13)",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const [storage, other] = [folder.storage("storage"), folder.storage("other")];
    const hooks = {
      executeBefore: [`: >${folder.at("reached")}; exec tail -f ${folder.at("reached")}`],
    };
    const killed = startPlasma(["backup", "--config", writeConfig(folder, storage, hooks)]);
    await until("the hook runs", () => namesIn(folder.path).includes("reached"));
    const family = [killed.child, ...await descendants(killed.child.pid)];
    for (const { pid } of family) Deno.kill(pid, "SIGKILL");
    await killed.output;
    assertEquals(runFolders(storage).length, 1);

    // A run to elsewhere finds what the dead run left, and looks at its lock for a second.
    const inject = ["-e", "trace=flock", "-e", "inject=flock:delay_exit=1000000"];
    const looking = startPlasma(["backup", "--to", other, folder.at("data")], {
      through: ["strace", "-f", "-q", "-o", folder.at("trace"), ...inject],
    });
    let ended = false;
    const end = looking.output.then(() => ended = true);
    const lock = lockOf(storage);
    await until(
      "it looks",
      async () => ended || (await tryRun("flock", "-n", lock, "true")).code !== 0,
    );
    const { code, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
    await end;
    assertEquals(code, 0, stderr);
  },
);
