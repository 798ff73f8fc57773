import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { asUser } from "../support/user.ts";

/** What the storage side says is true. */

/** A storage folder with archives of these names and contents, and their checksums. */
async function store(folder: TemporaryFolder, contents: Record<string, Uint8Array>) {
  const storage = folder.storage("storage");
  for (const [name, content] of Object.entries(contents)) {
    Deno.writeFileSync(`${storage}/${name}`, content);
    await sh("sh", "-c", 'cd "$0" && sha256sum "$1" >"$1.sha256"', storage, name);
  }
  return storage;
}

interface Verdict {
  name: string;
  state: string;
  detail: string;
}

async function verify(storage: string, ...args: string[]): Promise<Verdict[]> {
  const { stdout } = await plasma(["verify", "--all", "--json", "--from", storage, ...args]);
  return JSON.parse(stdout).verdicts ?? JSON.parse(stdout);
}

Deno.test("row 71: an empty tar is called what it is, and not damaged", async () => {
  using folder = new TemporaryFolder();
  const zeros = (bytes: number) => new Uint8Array(bytes);
  const storage = await store(folder, {
    "20250101-0000-daily.tar": zeros(10240),
    "20250102-0000-daily.tar": zeros(0),
    "20250103-0000-daily.tar": zeros(65536),
    "20250104-0000-daily.tar": zeros(1 << 20),
    "20250105-0000-daily.tar": zeros(1000),
  });
  const verdicts = await verify(storage, "--deep");
  assertEquals(verdicts.map(({ state }) => state), ["ok", "ok", "ok", "damaged", "damaged"]);
  for (const { detail } of verdicts.slice(0, 3)) {
    assertStringIncludes(detail, "it is empty, there is not one file in it");
  }
});

Deno.test("row 77: list and restore tell what verify has found", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  assertEquals((await plasma(["backup", "--to", storage, folder.at("data")])).code, 0);
  const [name] = archivesIn(storage);
  const list = async () => (await plasma(["list", "--from", storage])).stdout;
  assertMatch(await list(), /complete$/m);
  const file = await Deno.open(`${storage}/${name}`, { write: true });
  await file.seek(1000, Deno.SeekMode.Start);
  await file.write(new Uint8Array([1]));
  file.close();
  assertEquals((await plasma(["verify", "--from", storage])).code, 1);
  assertMatch(await list(), /damaged$/m);
  const target = ["--target", folder.at("target"), "--from", storage];
  const restored = await plasma(["restore", "latest", ...target]);
  assertEquals(restored.code, 1);
  assertMatch(restored.stderr, /^warning: plasma verify has found that \S+ is damaged$/m);
});

testThatNeeds(
  ["root", "program setpriv"],
  "row 77: what may not be read is not without a checksum",
  async () => {
    using folder = new TemporaryFolder();
    const storage = await store(folder, {
      "20250101-0000-daily.tar": new Uint8Array(10240),
      "20250102-0000-daily.tar": new Uint8Array(10240),
      "20250103-0000-daily.tar": new Uint8Array(10240),
    });
    const user = await asUser(64_129, folder);
    const secret = (name: string) =>
      sh("chown", "root:root", `${storage}/${name}`).then(() =>
        Deno.chmodSync(`${storage}/${name}`, 0o600)
      );
    await secret("20250101-0000-daily.tar");
    await secret("20250102-0000-daily.tar.sha256");
    Deno.removeSync(`${storage}/20250103-0000-daily.tar.sha256`);
    const { stdout } = await plasma(["verify", "--all", "--from", storage], user);
    assertMatch(stdout, /^20250101-0000-daily\.tar +unreadable +.*permission denied/m);
    assertMatch(stdout, /^20250102-0000-daily\.tar +unreadable +cannot read .*sha256: permission/m);
    assertMatch(stdout, /^20250103-0000-daily\.tar +no checksum/m);
  },
);

testThatNeeds(
  ["root", "program setpriv"],
  "a journal that root makes belongs to the login that stores there",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const user = await asUser(64_130, folder);
    const args = ["backup", "--to", storage, folder.at("data")];
    assertEquals((await plasma(args, user)).code, 0);
    const journal = `${storage}/.plasma/journal.jsonl`;
    Deno.removeSync(journal);
    assertEquals((await plasma(["verify", "--from", storage])).code, 0);
    assertEquals(Deno.lstatSync(journal).uid, 64_130);
    assertEquals((await plasma(args, user)).code, 0);
    assertStringIncludes(Deno.readTextFileSync(journal), '"stored"');
  },
);

Deno.test("row 71: what the system puts beside storage folders is passed over", async () => {
  using folder = new TemporaryFolder();
  const names = ["lost+found", "@eaDir", ".snapshots", "#recycle", ".Trash-1000"];
  for (const name of names) Deno.mkdirSync(folder.at(`backup/${name}`), { recursive: true });
  // On a filesystem of its own.
  assertEquals((await plasma(["init", folder.at("backup")])).code, 0);
  const { stdout, stderr } = await plasma(["list", "--from", folder.at("backup")]);
  assertEquals([stdout, stderr], ["", `no archives in ${folder.at("backup")}\n`]);
  Deno.removeSync(folder.at("backup/plasma-rotate.json"));
  folder.write("data/file", "content");
  for (const machine of ["web", "db"]) {
    assertEquals((await plasma(["init", folder.at(`backup/${machine}`)])).code, 0);
    const to = ["--to", folder.at(`backup/${machine}`)];
    assertEquals((await plasma(["backup", ...to, folder.at("data")])).code, 0);
  }
  const folders = [...names, "db", "web"].map((name) => `${folder.at(`backup/${name}`)}/`);
  const rotated = await plasma(["rotate", "--json", ...folders]);
  assertEquals([rotated.code, JSON.parse(rotated.stdout).length], [0, 2], rotated.stderr);
  for (const args of [folders, [folder.at("backup")]]) {
    const { code, stdout } = await plasma(["status", "--json", ...args]);
    const { machines } = JSON.parse(stdout);
    assertEquals([code, machines.length], [0, 2], stdout);
    assertEquals(machines.map(({ problems }: { problems: string[] }) => problems), [[], []]);
  }
  // A folder that holds something else is no storage folder, and stays one that is asked about.
  folder.write("other/file", "content");
  assertEquals((await plasma(["init", folder.at("other")])).code, 2);
  assertEquals((await plasma(["rotate", folder.at("other")])).code, 2);
});

Deno.test("row 77: metrics have no series twice, and a machine counts once", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  for (const place of ["one", "two"]) {
    Deno.mkdirSync(folder.at(place));
    assertEquals((await plasma(["init", folder.at(`${place}/web`)])).code, 0);
    const to = ["--to", folder.at(`${place}/web`)];
    assertEquals((await plasma(["backup", ...to, folder.at("data")])).code, 0);
  }
  Deno.symlinkSync(folder.at("one/web"), folder.at("one/link"));
  const places = [folder.at("one"), folder.at("two"), folder.at("one/web"), folder.at("one/web/")];
  const metrics = folder.at("metrics.prom");
  const { code, stdout } = await plasma(["status", "--json", "--prometheus", metrics, ...places]);
  const { machines } = JSON.parse(stdout);
  assertEquals(code, 0, stdout);
  assertEquals(machines.length, 2);
  const series = Deno.readTextFileSync(metrics).split("\n").filter((line) => /^\w/.test(line))
    .map((line) => line.slice(0, line.lastIndexOf(" ")));
  assertEquals(new Set(series).size, series.length);
  assertEquals(new Set(machines.map(({ machine }: { machine: string }) => machine)).size, 2);
});

Deno.test("row 77: a size that has collapsed stays a warning until it is accepted", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("web");
  const noise = (bytes: number) => {
    const content = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += 65536) {
      crypto.getRandomValues(content.subarray(at, at + 65536));
    }
    return content;
  };
  const night = async (bytes: number) => {
    folder.write("data/file", noise(bytes));
    assertEquals((await plasma(["backup", "--to", storage, folder.at("data")])).code, 0);
  };
  const problems = async (...flags: string[]) => {
    const { stdout } = await plasma(["status", "--json", storage, ...flags]);
    return JSON.parse(stdout).machines[0].problems.join();
  };
  await night(1 << 20);
  for (let count = 0; count < 3; count++) {
    await night(300_000);
    assertMatch(await problems(), /^shrunk to \d+ %$/);
  }
  const [large] = archivesIn(storage);
  for (const name of [large!, `${large}.sha256`]) Deno.removeSync(`${storage}/${name}`);
  assertMatch(await problems(), /^shrunk to \d+ %$/);
  assertEquals((await plasma(["status", "--accept", "nobody", storage])).code, 3);
  assertEquals(await problems("--accept", "web"), "");
  await night(300_000);
  assertEquals(await problems(), "");
  await night(20_000);
  assertMatch(await problems(), /^shrunk/);
});

for (const way of ["local", "ssh"]) {
  Deno.test(`row 72: two configs in one folder are warned of (${way})`, async () => {
    using folder = new TemporaryFolder();
    await using sshd = await Sshd.start();
    const storage = folder.storage("storage");
    const config = (name: string) => {
      folder.write(`${name}/file`, name);
      const more = way === "ssh" ? { ssh: sshd.settings } : {};
      const text = { folders: [folder.at(name)], strategy: "tar", remoteFolder: storage, ...more };
      return ["--config", folder.write(`${name}.json`, JSON.stringify(text))];
    };
    const words = /another agent, or another config, stores into this folder too/;
    const [one, two] = [config("one"), config("two")];
    for (let count = 0; count < 2; count++) {
      const { code, stderr } = await plasma(["backup", ...one]);
      assertEquals([code, words.test(stderr)], [0, false], stderr);
    }
    const check = await plasma(["check", ...two]);
    assertEquals(check.code, 0, check.stdout);
    assertMatch(check.stdout, new RegExp(`^WARNING +storage +${words.source}`, "m"));
    for (const args of [two, one]) {
      const { code, stderr } = await plasma(["backup", "--quiet", ...args]);
      assertEquals(code, 0);
      assertMatch(stderr, words);
    }
    const status = await plasma(["status", storage]);
    assertEquals(status.code, 1);
    assertStringIncludes(status.stdout, "two agents or configs store here");
  });
}
