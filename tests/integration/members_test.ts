import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { Mount } from "../support/mounts.ts";
import { plasma } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";
import { testThatNeeds } from "../support/skip.ts";
import { membersOf } from "../support/storage.ts";

/** Back up `FOLDER/data` and return the names of the members below it, without folders. */
async function filesArchived(
  folder: TemporaryFolder,
  flags: readonly string[],
): Promise<string[]> {
  const storage = folder.storage("storage");
  const { code, stdout, stderr } = await plasma(
    ["backup", "--to", storage, ...flags, folder.at("data")],
  );
  assertEquals(code, 0, stderr);
  const prefix = `${folder.at("data").slice(1)}/`;
  const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
  assertEquals(members.filter((member) => !member.startsWith(prefix)), []);
  return members.filter((member) => !member.endsWith("/"))
    .map((member) => member.slice(prefix.length)).sort();
}

Deno.test("members are named by their absolute path without the leading slash", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const { code, stdout, stderr } = await plasma([
    "backup",
    "--to",
    storage,
    "/etc/passwd",
    "/etc/apt/",
  ]);
  assertEquals(code, 0, stderr);
  const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
  assertEquals(members.slice(0, 2), ["etc/passwd", "etc/apt/"]);
});

Deno.test("a folder named twice, or within another one, is archived once", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/below/file", "content");
  const [data, storage] = [folder.at("data"), folder.storage("storage")];
  const { code, stdout } = await plasma([
    "backup",
    "--to",
    storage,
    `${data}/below`,
    data,
    `${data}/`,
  ]);
  assertEquals(code, 0);
  const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
  assertEquals(members.filter((member) => member.endsWith("/file")).length, 1);
});

const excludes: readonly (readonly [patterns: string[], left: string[]])[] = [
  [[], ["a/b.tmp", "a/cache/x", "b.tmp", "b.txt", "cache/x", "star*"]],
  [["*.tmp"], ["a/cache/x", "b.txt", "cache/x", "star*"]],
  [["cache"], ["a/b.tmp", "b.tmp", "b.txt", "star*"]],
  [["cache/"], ["a/b.tmp", "b.tmp", "b.txt", "star*"]],
  [["a/cache"], ["a/b.tmp", "b.tmp", "b.txt", "cache/x", "star*"]],
  [["/ROOT/cache"], ["a/b.tmp", "a/cache/x", "b.tmp", "b.txt", "star*"]],
  [["/ROOT/cache/"], ["a/b.tmp", "a/cache/x", "b.tmp", "b.txt", "star*"]],
  [["/ROOT/*.tmp"], ["a/cache/x", "b.txt", "cache/x", "star*"]],
  [["/cache"], ["a/b.tmp", "a/cache/x", "b.tmp", "b.txt", "cache/x", "star*"]],
  [["b.t?t"], ["a/b.tmp", "a/cache/x", "b.tmp", "cache/x", "star*"]],
  [["b.t[a-n]p", "star\\*"], ["a/cache/x", "b.txt", "cache/x"]],
  [["B.TXT"], ["a/b.tmp", "a/cache/x", "b.tmp", "b.txt", "cache/x", "star*"]],
  [["-rf", "--help"], ["a/b.tmp", "a/cache/x", "b.tmp", "b.txt", "cache/x", "star*"]],
];

for (const [patterns, left] of excludes) {
  Deno.test(`--exclude ${patterns.join(" and ") || "nothing"} leaves ${left.join(" ")}`, async () => {
    using folder = new TemporaryFolder();
    for (const name of excludes[0]![1]) folder.write(`data/${name}`, "content");
    const flags = patterns.map((pattern) =>
      `--exclude=${pattern.replace("ROOT", folder.at("data").slice(1))}`
    );
    assertEquals(await filesArchived(folder, flags), left);
  });
}

Deno.test("excludeCaches leaves out what a CACHEDIR.TAG marks", async () => {
  using folder = new TemporaryFolder();
  const tag = "Signature: 8a477f597d28d172789f06886806bc55\n";
  folder.write("data/cache/CACHEDIR.TAG", tag);
  folder.write("data/cache/file", "content");
  folder.write("data/no-cache/CACHEDIR.TAG", "something else");
  folder.write("data/no-cache/file", "content");
  assertEquals(await filesArchived(folder, ["--exclude-caches"]), [
    "cache/CACHEDIR.TAG",
    "no-cache/CACHEDIR.TAG",
    "no-cache/file",
  ]);
});

for (const name of ["storage", "sto*r\\age [x]"]) {
  Deno.test(`a storage folder ${name} in the source is left out of its own archives`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    folder.write("data/storageX/file", "not the storage");
    const storage = folder.storage(`data/${name}`);
    folder.write(`data/${name}/20200101-0000-daily.tar`, "an earlier archive");
    const config = writeConfig(folder, storage, { tempfile: folder.at("data/staged*") });
    const { code, stdout, stderr } = await plasma(["backup", "--config", config]);
    assertEquals(code, 0, stderr);
    const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
    const names = members.map((member) => member.slice(folder.at("data").length));
    assertEquals(names.sort(), ["", "file", "storageX/", "storageX/file"]);
    assertEquals(namesIn(folder.at("data")).includes("staged*"), false);
  });
}

Deno.test("a storage folder and a tempfile reached through links are left out too", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  folder.storage("data/storage");
  folder.write("data/staging/file", "content");
  Deno.symlinkSync(folder.at("data"), folder.at("link"));
  const tempfile = folder.at("link/staging/staged.tar");
  const config = writeConfig(folder, folder.at("link/storage"), { tempfile });
  const { code, stdout, stderr } = await plasma(["backup", "--config", config]);
  assertEquals(code, 0, stderr);
  const members = await membersOf(folder.at(`data/storage/${stdout.trimEnd()}`));
  const names = members.map((member) => member.slice(folder.at("data").length));
  assertEquals(names.sort(), ["", "file", "staging/", "staging/file"]);
});

testThatNeeds(
  ["root"],
  "filesystems below a folder are in, the kernel's own are named",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    await using disk = await Mount.tmpfs(folder.at("data/disk"), 1);
    await using _ = await Mount.proc(folder.at("data/proc [1]"));
    Deno.writeTextFileSync(`${disk.path}/on-disk`, "content");
    const storage = folder.storage("storage");
    const { code, stdout, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `left out: ${folder.at("data/proc [1]")}`);
    const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
    const names = members.map((member) => member.slice(folder.at("data").length));
    assertEquals(names.sort(), ["", "disk/", "disk/on-disk", "file", "proc [1]/"]);
  },
);

testThatNeeds(["root", "program unshare"], "the whole machine is archived as /", async () => {
  using folder = new TemporaryFolder();
  // A machine small enough: its root holds the tools and this checkout, all else is left out.
  const storage = folder.storage("storage");
  const kept = ["etc", "tmp"];
  const others = namesIn("/").filter((name) => !kept.includes(name));
  const flags = [...others, "tmp/*"].map((name) => `--exclude=/${name}/*`);
  const { code, stdout, stderr } = await plasma(["backup", "--to", storage, ...flags, "/"]);
  assertEquals([0, 3].includes(code), true, stderr);
  const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
  assertEquals(members.includes("etc/passwd"), true);
  assertEquals(members.some((member) => /^\.?\/./.test(member)), false);
  assertEquals(members.filter((member) => member.startsWith("proc/")), ["proc/"]);
});
