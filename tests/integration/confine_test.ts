import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { type Answer, claimOf, request, runId, serve } from "../support/serve.ts";
import { sh } from "../support/sh.ts";

/** What a client can name, and what is opened for it. */

const verbs = ["hello", "store", "commit", "abort", "list", "fetch", "verify", "rotate"];
const archive = "20200101-0000-daily.tar";
const secret = "root:$6$secret:19000:0:99999:7:::";

const ask = (verb: string, path: string, flags: string[] = []): Promise<Answer> =>
  serve(
    request(verb, { folder: path, run: runId(), name: archive, kind: "tar", ...claimOf("x") }, "x"),
    flags,
  );

/** All that there is below a folder, with what would change if it were touched. */
const stateOf = (path: string) =>
  sh("find", path, "-printf", "%p %i %y %m %s %T@ %l\n").then((text) =>
    text.split("\n").sort().join("\n")
  );

/** Storage folders in the places to which clients have a say in what lies there. */
function plantFolders(folder: TemporaryFolder, root: string): string[] {
  const places = [
    ".plasma/incoming/x.btrfs/srv",
    ".plasma",
    "20260101-0000-daily.btrfs/srv%2Fdata",
    "20260101-0000-daily.btrfs/srv%2Fdata/deep/er",
    "20260101-0000-daily.btrfs",
    "deeper",
  ].map((name) => `${root}/${name}`);
  for (const place of places) {
    Deno.mkdirSync(folder.at(`${place}/.plasma/incoming`), { recursive: true });
    folder.storage(place, { daily: 1 });
    for (const day of [1, 2]) folder.write(`${place}/2020010${day}-0000-daily.tar`, "an archive");
    Deno.symlinkSync(folder.at("outside"), folder.at(`${place}/.plasma/incoming/${runId()}.btrfs`));
    Deno.symlinkSync(folder.at("outside"), folder.at(`${place}/.plasma/trash`));
  }
  return places.map((place) => folder.at(place));
}

Deno.test("row 82: no request reaches a folder inside of another storage folder", async () => {
  using folder = new TemporaryFolder();
  folder.storage("backup/web1");
  const inside = plantFolders(folder, "backup/web1");
  folder.storage("backup/web1/.plasma/incoming/x.btrfs");
  folder.write("outside/precious", "of somebody else");
  const before = await stateOf(folder.path);
  const all = ["--allow", "store,read,rotate,receive"];
  for (const flags of [["--root", folder.at("backup/web1")], ["--root", folder.at("backup")], []]) {
    for (const path of inside) {
      for (const verb of flags[1] === folder.at("backup/web1") ? verbs : ["hello", "abort"]) {
        const { ok, message } = await ask(verb, path, [...flags, ...all]);
        assertEquals([verb, path, ok], [verb, path, false]);
        assertStringIncludes(message, "within another one, within an archive or within .plasma");
      }
    }
  }
  assertEquals(await stateOf(folder.path), before);
});

Deno.test("row 82: a link on the way leads to no place that could not be named", async () => {
  using folder = new TemporaryFolder();
  folder.storage("backup/web1");
  plantFolders(folder, "backup/web1");
  folder.storage("backup/web2");
  Deno.symlinkSync("web1/.plasma", folder.at("backup/way"));
  Deno.symlinkSync("web1/20260101-0000-daily.btrfs/srv%2Fdata", folder.at("backup/data"));
  const flags = ["--root", folder.at("backup")];
  for (const name of ["way", "way/incoming/x.btrfs/srv", "data", "data/deep/er"]) {
    assertEquals((await ask("hello", folder.at(`backup/${name}`), flags)).ok, false, name);
  }
  for (const name of ["web1", "web2", "data/../web2"]) {
    const { ok } = await ask("hello", folder.at(`backup/${name}`), flags);
    assertEquals([name, ok], [name, !name.includes("..")]);
  }
});

/** What can lie where a regular file is expected. */
const others: Record<string, (path: string, secretFile: string) => void | Promise<unknown>> = {
  "a link to a secret": (path, secretFile) => Deno.symlinkSync(secretFile, path),
  "a named pipe": (path) => sh("mkfifo", path),
  "a link to a device": (path) => Deno.symlinkSync("/dev/zero", path),
  "a folder": (path) => Deno.mkdirSync(path),
  "a link to nothing": (path) => Deno.symlinkSync("/nowhere/at/all", path),
  "a file of 300 MB": (path) => sh("truncate", "-s", "300M", path),
};

for (const [what, plant] of Object.entries(others)) {
  Deno.test(`row 48: ${what} is not taken for a policy, and nothing of it is told`, async () => {
    using folder = new TemporaryFolder();
    Deno.mkdirSync(folder.at("storage"));
    folder.write(`storage/${archive}`, "x");
    await plant(folder.at("storage/plasma-rotate.json"), folder.write("secret", secret));
    const before = await stateOf(folder.path);
    for (const verb of verbs) {
      const { ok, answer, message } = await ask(verb, folder.at("storage"));
      assertEquals([verb, ok], [verb, verb === "abort"]);
      assertEquals(/secret|\$6/.test(JSON.stringify(answer)), false, message);
      if (!ok) assertStringIncludes(JSON.stringify(answer), "a policy must be a regular file");
    }
    assertEquals(await stateOf(folder.path), before);
    const local = await plasma(["rotate", folder.at("storage")]);
    assertEquals(local.code, 2, local.stderr);
    assertStringIncludes(local.lastLine, "a policy must be a regular file: copy it there");
    assertEquals(local.stderr.includes(secret), false);
  });

  Deno.test(`row 48: ${what} is taken for no checksum, manifest or journal`, async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    folder.write(`storage/${archive}`, "x");
    Deno.mkdirSync(`${storage}/20200102-0000-daily.btrfs`);
    Deno.mkdirSync(`${storage}/.plasma`);
    const places = [`${archive}.sha256`, "20200102-0000-daily.btrfs/manifest.json"];
    const secretFile = folder.write("secret", secret);
    for (const place of [...places, ".plasma/journal.jsonl"]) {
      await plant(`${storage}/${place}`, secretFile);
    }
    const list = await ask("list", storage);
    assertEquals(
      (list.answer.archives as { name: string }[]).map(({ name }) => name),
      [archive],
    );
    assertEquals(((await ask("verify", storage)).answer as { state: string }).state, "no checksum");
    const fetched = (await ask("fetch", storage)).answer;
    assertEquals([fetched.bytes, fetched.sha256], [1, undefined]);
    assertEquals((await ask("rotate", storage)).ok, true);
    assertEquals((await ask("store", storage)).ok, true);
    assertEquals((await ask("commit", storage)).ok, true);
    assertEquals((await plasma(["status", storage])).code < 3, true);
    assertEquals(Deno.readTextFileSync(secretFile), secret);
  });

  if (what === "a file of 300 MB") continue;
  Deno.test(`row 48: ${what} is taken for no lock, and is left as it is`, async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    Deno.mkdirSync(`${storage}/.plasma`);
    await plant(`${storage}/.plasma/lock`, folder.write("secret", secret));
    const before = await stateOf(folder.path);
    const { ok, message } = await ask("rotate", storage);
    assertEquals(ok, false);
    assertStringIncludes(message, "not a regular file");
    const withoutIncoming = (text: string) =>
      text.split("\n").filter((line) => !/\/\.plasma(?:\/incoming)? /.test(line)).join("\n");
    assertEquals(withoutIncoming(await stateOf(folder.path)), withoutIncoming(before));
  });

  if (what === "a folder") continue;
  Deno.test(`row 82: ${what} is not taken for what is plasma's own`, async () => {
    for (const name of [".plasma", ".plasma/incoming", ".plasma/trash"]) {
      using folder = new TemporaryFolder();
      const storage = folder.storage("storage", { daily: 1 });
      for (const day of [1, 2]) folder.write(`storage/2020010${day}-0000-daily.tar`, "x");
      if (name !== ".plasma") Deno.mkdirSync(`${storage}/.plasma`);
      await plant(`${storage}/${name}`, folder.write("secret", secret));
      const before = await stateOf(folder.path);
      for (const verb of ["store", "commit", "abort", "rotate"]) {
        const { ok, message } = await ask(verb, storage);
        assertEquals([name, verb, ok], [name, verb, verb === "abort"]);
        if (!ok) assertStringIncludes(message, "is not a folder but something in its place");
      }
      assertEquals(await stateOf(folder.path), before);
    }
  });
}

Deno.test("row 48: a lock and a journal with another name are not written to", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write(`storage/${archive}`, "x");
  for (const name of ["lock", "journal.jsonl"]) {
    Deno.mkdirSync(`${storage}/.plasma`, { recursive: true });
    const foreign = folder.write(`foreign-${name}`, "of somebody else\n");
    Deno.chmodSync(foreign, 0o644);
    Deno.linkSync(foreign, `${storage}/.plasma/${name}`);
    const { ok, message } = await ask(name === "lock" ? "rotate" : "verify", storage);
    assertEquals([name, ok], [name, name !== "lock"]);
    if (!ok) assertStringIncludes(message, "it has 2 names (hard links)");
    const { mode } = Deno.lstatSync(foreign);
    assertEquals([mode! & 0o777, Deno.readTextFileSync(foreign)], [0o644, "of somebody else\n"]);
    Deno.removeSync(`${storage}/.plasma/${name}`);
  }
});

Deno.test("row 48: a wrong policy is not quoted to a client, but where it lies", async () => {
  const wrong = [
    `${secret}\n`,
    `{"policy": {"daily": "${secret}"}}`,
    `{"policy": {"daily": 1}, "${secret}": 1}`,
    `["${secret}"]`,
    `{"policy": ${secret}`,
  ];
  using folder = new TemporaryFolder();
  for (const text of wrong) {
    folder.write("storage/plasma-rotate.json", text);
    for (const verb of verbs) {
      const { ok, answer, message } = await ask(verb, folder.at("storage"));
      assertEquals([verb, ok], [verb, verb === "abort"]);
      assertEquals(/secret|\$6|root:/.test(JSON.stringify(answer)), false, message);
      if (!ok) assertStringIncludes(message, "/storage/plasma-rotate.json is wrong");
    }
    const local = await plasma(["rotate", "--dry-run", folder.at("storage")]);
    assertEquals(local.code, 2);
    assertStringIncludes(local.stderr, "root", "who can read the file is told all");
  }
});

Deno.test("row 83: a policy that changes into a link or a pipe meanwhile is never followed", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const good = Deno.readTextFileSync(`${storage}/plasma-rotate.json`);
  folder.write("secret", `{"policy": {"daily": "${secret}"}}`);
  const racer = new Deno.Command("sh", {
    args: [
      "-c",
      `while :; do
  ln -s ../secret link && mv link plasma-rotate.json
  printf %s "$1" >good && mv good plasma-rotate.json
  mkfifo pipe && mv pipe plasma-rotate.json
  printf %s "$1" >good && mv good plasma-rotate.json
done`,
      "sh",
      good,
    ],
    cwd: storage,
    stdin: "null",
    stderr: "null",
  }).spawn();
  try {
    const seen = new Set<boolean>();
    for (let round = 0; round < 20; round++) {
      const { ok, answer } = await ask("hello", storage);
      seen.add(ok);
      assertEquals(/secret|\$6|is wrong/.test(JSON.stringify(answer)), false);
    }
  } finally {
    racer.kill("SIGKILL");
    await racer.status;
  }
});

Deno.test("row 82: a name that only looks like an archive's is a storage folder's like others", async () => {
  using folder = new TemporaryFolder();
  const names = ["web1", "20260101", "plasma", ".plasma-old", "20261399-0000-daily.tar"];
  for (const name of names) {
    folder.storage(`backup/${name}`);
    const { ok, message } = await ask("hello", folder.at(`backup/${name}`), [
      "--root",
      folder.at("backup"),
    ]);
    assertEquals([name, ok, message], [name, true, ""]);
  }
  assertEquals(namesIn(folder.at("backup")), names.toSorted());
});
