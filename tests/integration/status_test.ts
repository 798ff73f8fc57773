import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { modeOf } from "../support/modes.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { untilMidUpload } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

/** The name of a fake archive of so many hours ago. */
function nameOf(hoursAgo: number, label = "daily", kind = "tar"): string {
  const time = Temporal.Now.plainDateTimeISO().subtract({ hours: hoursAgo });
  const [date, clock] = time.toString({ smallestUnit: "second" }).split("T");
  return `${date!.replaceAll("-", "")}-${clock!.replaceAll(":", "")}-${label}.${kind}`;
}

/** Put a fake archive of so many bytes into a storage folder. */
function put(storage: string, hoursAgo: number, bytes = 1000, label = "daily"): string {
  const name = nameOf(hoursAgo, label);
  Deno.writeFileSync(`${storage}/${name}`, new Uint8Array(bytes));
  Deno.writeTextFileSync(`${storage}/${name}.sha256`, `${"0".repeat(64)}  ${name}\n`);
  return name;
}

/** A storage folder of a machine with an archive of an hour ago, and one of the day before. */
function machine(folder: TemporaryFolder, name: string): string {
  const storage = folder.storage(`backup/${name}`);
  put(storage, 25);
  put(storage, 1);
  return storage;
}

interface Row {
  machine: string;
  state: string;
  problems: string[];
  counts: Record<string, number>;
  newest: { name: string } | null;
  sizeRatio: number;
}

async function status(...args: string[]) {
  const { code, stdout, stderr } = await plasma(["status", "--json", ...args]);
  const { state, machines }: { state: string; machines: Row[] } = JSON.parse(stdout);
  return { code, state, machines, stderr };
}

/** The exit status, and the first problem of the only machine. */
async function verdict(storage: string, ...flags: string[]): Promise<[number, string]> {
  const { code, machines } = await status(storage, ...flags);
  assertEquals(machines.length, 1);
  return [code, machines[0]!.problems.join()];
}

Deno.test("a year of archives is counted, and all is well", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("web");
  const labelOf = (day: number) => day % 28 === 0 ? "monthly" : day % 7 === 0 ? "weekly" : "daily";
  for (let day = 0; day < 365; day++) put(storage, 24 * day + 1, 1000 + day, labelOf(day));
  const { code, state, machines } = await status(storage);
  assertEquals([code, state, machines.length], [0, "ok", 1]);
  assertEquals(machines[0]!.counts, { monthly: 14, weekly: 39, daily: 312 });
  assertEquals(machines[0]!.problems, []);
  const text = (await plasma(["status", storage])).stdout.split("\n");
  assertStringIncludes(text[0]!, "PLASMA OK - 1 machines: all backups are fine | machines=1");
  assertStringIncludes(text[2]!, "14 monthly, 39 weekly, 312 daily");
  assertStringIncludes(text[2]!, machines[0]!.newest!.name);
});

Deno.test("the age decides between ok, warning and critical", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("web");
  assertEquals(await verdict(storage), [2, "no archive"]);
  put(storage, 60);
  assertEquals(await verdict(storage), [2, "overdue"]);
  assertEquals(await verdict(storage, "--critical-age", "3d"), [1, "overdue"]);
  assertEquals(await verdict(storage, "--max-age", "3d", "--critical-age", "4d"), [0, ""]);
  put(storage, 30);
  assertEquals(await verdict(storage), [1, "overdue"]);
  put(storage, 20);
  assertEquals(await verdict(storage), [0, ""]);
});

Deno.test("an archive of less than half the size is a warning", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("web");
  put(storage, 25, 10_000);
  const half = put(storage, 2, 5_000);
  assertEquals(await verdict(storage), [0, ""]);
  Deno.truncateSync(`${storage}/${half}`, 4_000);
  assertEquals(await verdict(storage), [1, "shrunk to 40 %"]);
});

Deno.test("a date in the future is a warning, and not the newest archive", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("web");
  put(storage, -48);
  assertEquals(await verdict(storage), [2, "no archive,1 dated in the future"]);
  put(storage, 1);
  assertEquals(await verdict(storage), [1, "1 dated in the future"]);
});

Deno.test("a torn upload is a warning, one under way is none", async () => {
  using folder = new TemporaryFolder();
  const storage = machine(folder, "web");
  folder.write("data/large", new Uint8Array(16 << 20));
  const run = ["backup", "--to", storage, "--bandwidth-limit", "4M", folder.at("data")];
  const { child, output } = startPlasma(run);
  await untilMidUpload(storage, 1 << 20);
  assertEquals(await verdict(storage), [0, ""]);
  child.kill("SIGKILL");
  await output;
  assertEquals(await verdict(storage), [1, "1 torn uploads"]);
});

Deno.test("foreign files are named, and no reason to wake anybody", async () => {
  using folder = new TemporaryFolder();
  const storage = machine(folder, "web");
  folder.write("backup/web/notes.txt", "mine");
  assertEquals(await verdict(storage), [0, "foreign: notes.txt"]);
});

Deno.test("one parent folder, or its folders by a glob, give all machines", async () => {
  using folder = new TemporaryFolder();
  for (const name of ["web", "mail", "new\nline"]) machine(folder, name);
  folder.write("backup/notes", "no folder");
  Deno.mkdirSync(folder.at("backup/lost+found"));
  const names = ["mail", "new\nline", "web"];
  const parent = await status(folder.at("backup"));
  assertEquals([parent.code, parent.machines.map(({ machine }) => machine)], [0, names]);
  const all = namesIn(folder.at("backup")).map((name) => folder.at(`backup/${name}`));
  const glob = await status(...all);
  assertEquals([glob.code, glob.machines.map(({ machine }) => machine).sort()], [0, names]);
  const { stdout } = await plasma(["status", folder.at("backup")]);
  assertEquals(stdout.trimEnd().split("\n").length, 5, "a summary, a head, and a row for each");
});

Deno.test("the worst of all machines decides, and is named first", async () => {
  using folder = new TemporaryFolder();
  machine(folder, "fine");
  put(folder.storage("backup/late"), 30);
  const { code, stdout } = await plasma(["status", folder.at("backup")]);
  assertEquals(code, 1);
  const [summary] = stdout.split("\n");
  assertStringIncludes(summary!, "PLASMA WARNING - 2 machines: late (overdue) |");
  put(folder.storage("backup/dead"), 1000);
  assertEquals((await status(folder.at("backup"))).code, 2);
});

Deno.test("a folder that is not there or has no policy is unknown, not empty", async () => {
  using folder = new TemporaryFolder();
  Deno.mkdirSync(folder.at("unmounted"));
  for (const name of ["nowhere", "unmounted"]) {
    const { code, machines } = await status(folder.at(name));
    assertEquals([code, machines.map(({ state }) => state)], [3, ["unknown"]], name);
  }
  const storage = machine(folder, "web");
  Deno.removeSync(`${storage}/plasma-rotate.json`);
  const [code, problem] = await verdict(storage);
  assertEquals(code, 3);
  assertStringIncludes(problem, "plasma-rotate.json");
  const below = await status(folder.at("backup"));
  assertEquals(below.code, 3, "nor is it passed over below its parent");
});

testThatNeeds(["root", "program setpriv"], "a folder that cannot be read is unknown", async () => {
  using folder = new TemporaryFolder();
  const storage = machine(folder, "web");
  await sh("chmod", "755", folder.path, folder.at("backup"));
  await sh("chmod", "700", storage);
  const flags = ["--bounding-set", "-all", "--inh-caps", "-all"];
  for (const place of [storage, folder.at("backup")]) {
    const mine = await plasma(["status", "--json", place], { through: ["setpriv", ...flags] });
    assertEquals(mine.code, 0, "its owner may");
    await sh("chown", "12345", storage);
    const other = await plasma(["status", "--json", place], { through: ["setpriv", ...flags] });
    assertEquals([other.code, JSON.parse(other.stdout).state], [3, "unknown"]);
    await sh("chown", "0", storage);
  }
});

Deno.test("a wrong command line is unknown too", async () => {
  using folder = new TemporaryFolder();
  for (const args of [[], ["--max-age", "soon", folder.path], ["--wrong"]]) {
    const { code, stdout } = await plasma(["status", ...args]);
    assertEquals([code, stdout], [3, ""], args.join(" "));
  }
});

Deno.test("metrics are written at once, for others to read", async () => {
  using folder = new TemporaryFolder();
  const storage = machine(folder, 'a "b" \\c');
  const file = folder.write("metrics/plasma.prom", "old");
  const { code } = await plasma(["status", "--prometheus", file, storage]);
  assertEquals([code, modeOf(file), namesIn(folder.at("metrics"))], [0, 0o644, ["plasma.prom"]]);
  const text = Deno.readTextFileSync(file);
  const labels = 'machine="a \\"b\\" \\\\c"';
  assertStringIncludes(text, `plasma_newest_archive_bytes{${labels}} 1000\n`);
  assertStringIncludes(text, `plasma_archives{${labels},label="daily"} 2\n`);
  assertStringIncludes(text, `plasma_state{${labels},state="ok"} 1\n`);
  for (const line of text.trimEnd().split("\n")) {
    assertEquals(/^(?:# (?:HELP|TYPE) |[a-z_]+(?:\{.*\})? \d+$)/.test(line), true, line);
  }
  const bad = await plasma(["status", "--prometheus", folder.at("no/file"), storage]);
  assertEquals(bad.code, 3);
});

testThatNeeds(
  ["root"],
  "row 89: --prometheus follows nothing that the folder's owner put there",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("backup/web1");
    for (const name of ["metrics", "public", "theirs/metrics", "precious"]) {
      Deno.mkdirSync(folder.at(name), { recursive: true });
    }
    const victim = folder.write("precious/file", "precious");
    Deno.chmodSync(victim, 0o600);
    Deno.chownSync(folder.at("metrics"), stranger, stranger);
    Deno.chownSync(folder.at("theirs"), stranger, stranger);
    const ask = (file: string) => plasma(["status", "--prometheus", file, storage]);

    // The names that an earlier version took, for every process there can be in the next moment.
    const file = folder.at("metrics/plasma.prom");
    const next = Deno.pid;
    for (let pid = next; pid < next + 1000; pid++) Deno.symlinkSync(victim, `${file}.${pid}.tmp`);
    Deno.symlinkSync(victim, file);
    assertEquals((await ask(file)).code, 2);
    const { isFile, mode } = Deno.lstatSync(file);
    assertEquals([isFile, mode! & 0o777], [true, 0o644]);
    assertStringIncludes(Deno.readTextFileSync(file), "plasma_state{");
    assertEquals(namesIn(folder.at("metrics")).filter((name) => !/\.\d+\.tmp$/.test(name)), [
      "plasma.prom",
    ]);

    // Whoever owns a folder on the way may turn it elsewhere in the next moment.
    const { code, lastLine } = await ask(folder.at("theirs/metrics/file"));
    assertEquals(code, 3);
    assertStringIncludes(lastLine, `${folder.at("theirs")} belongs to uid ${stranger}`);
    Deno.removeSync(folder.at("theirs/metrics"));
    Deno.symlinkSync(folder.at("precious"), folder.at("theirs/metrics"));
    assertEquals((await ask(folder.at("theirs/metrics/file"))).code, 3);
    assertEquals(namesIn(folder.at("precious")), ["file"]);
    const { mode: still } = Deno.lstatSync(victim);
    assertEquals([Deno.readTextFileSync(victim), still! & 0o777], ["precious", 0o600]);
  },
);

/** Somebody who is not root. */
const stranger = 64_123;
