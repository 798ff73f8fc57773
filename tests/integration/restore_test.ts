import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { backUp, walk, writeSidecar } from "../support/archives.ts";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { Mount } from "../support/mounts.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { membersOf, sha256Of } from "../support/storage.ts";

/** A folder `data` with some files, and a storage folder with an archive of it. */
async function stored() {
  const folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("data/a/one", "1");
  folder.write("data/a/below/two", "2");
  folder.write("data/b/three", "3");
  const name = await backUp([storage], folder.at("data"));
  const target = folder.at("target");
  const restore = (...args: string[]) => plasma(["restore", "--from", storage, ...args]);
  return {
    folder,
    storage,
    name,
    target,
    restore,
    restored: (path: string) => `${target}${folder.at("data")}/${path}`,
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

Deno.test("latest, a name and its beginning are the same; others are refused", async () => {
  using site = await stored();
  const { folder, storage, name, restore } = site;
  const old = ["20250301-0000-daily.tar", "20250302-0000-daily.tar", "29990101-0000-daily.tar"];
  for (const other of old) Deno.copyFileSync(`${storage}/${name}`, `${storage}/${other}`);
  const expected = await walk(folder.at("data"));
  for (const word of ["latest", name, name.slice(0, 10), "20250302", old[2]!]) {
    const target = folder.at(`restored ${word}`);
    const { code, stderr } = await restore(word, "--target", target);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, word === "latest" ? name : word);
    assertEquals(await walk(`${target}${folder.at("data")}`), expected);
  }
  const ambiguous = await restore("202503", "--target", site.target);
  assertEquals(ambiguous.code, 2);
  for (const part of [old[0]!, old[1]!]) assertStringIncludes(ambiguous.lastLine, part);
  for (
    const word of ["20240101", "nothing", "../data", "", `${name}.sha256`, "plasma-rotate.json"]
  ) {
    const { code, lastLine } = await restore(word, "--target", site.target);
    assertEquals(code, 2, `"${word}": ${lastLine}`);
  }
  assertEquals(namesIn(site.target), []);
});

Deno.test("a storage folder without archives and a missing one are told apart", async () => {
  using folder = new TemporaryFolder();
  const restore = (from: string) =>
    plasma(["restore", "latest", "--from", from, "--target", folder.at("target")]);
  const empty = await restore(folder.storage("empty"));
  assertEquals(empty.code, 2);
  assertStringIncludes(empty.lastLine, "no archives");
  const missing = await restore(folder.at("nowhere"));
  assert(missing.code !== 0);
  assertStringIncludes(missing.lastLine, "nowhere");
  assertEquals(namesIn(folder.at("target")), []);
});

Deno.test("single paths come back, a folder with all below it, with or without a slash", async () => {
  using site = await stored();
  const data = site.folder.at("data");
  for (const path of [`${data}/a`, `${data}/a/`, `${data.slice(1)}/a`]) {
    const { code, stderr } = await site.restore("latest", path, "--target", site.target);
    assertEquals(code, 0, stderr);
    assertEquals(namesIn(site.restored("")), ["a"]);
    assertEquals(namesIn(site.restored("a")), ["below", "one"]);
    assertEquals(Deno.readTextFileSync(site.restored("a/below/two")), "2");
    Deno.removeSync(site.target, { recursive: true });
  }
  const paths = [`${data}/a/below/two`, `${data}/b/three`];
  assertEquals((await site.restore("latest", ...paths, "--target", site.target)).code, 0);
  const files = await sh("find", site.restored(""), "-type", "f", "-printf", "%P ");
  assertEquals(files.trim().split(" ").sort(), ["a/below/two", "b/three"]);
});

Deno.test("a path that is not in the archive is a failure that names it", async () => {
  using site = await stored();
  const { code, lastLine } = await site.restore("latest", "/etc/nothing", "--target", site.target);
  assertEquals(code, 1);
  assertStringIncludes(lastLine, "etc/nothing");
  assertStringIncludes(lastLine, "--dry-run");
});

Deno.test("paths are no options, and not regular expressions", async () => {
  using site = await stored();
  const paths = ["--checkpoint-action=exec=false", "-x", ".*/", "^tmp", "tmp|etc", "(tmp)"];
  for (const [index, path] of paths.entries()) {
    const target = `${site.target}${index}`;
    const args = ["restore", "--from", site.storage, "--target", target, "--", "latest", path];
    const { code, stderr } = await plasma(args);
    assertEquals([code, namesIn(target)], [1, []], stderr);
  }
});

Deno.test("a hard link without the file that it is a link to says what to do", async () => {
  using site = await stored();
  Deno.linkSync(site.folder.at("data/a/one"), site.folder.at("data/b/same as one"));
  const name = await backUp([site.storage], site.folder.at("data"));
  const members = await membersOf(`${site.storage}/${name}`);
  const link = members.findLast((name) => /\/(?:one|same as one)$/.test(name))!;
  const first = members.find((name) => /\/(?:one|same as one)$/.test(name))!;
  const alone = await site.restore("latest", link, "--target", site.target);
  assertEquals(alone.code, 1);
  assertStringIncludes(alone.lastLine, "restore that path too");
  const both = await site.restore("latest", link, first, "--target", site.folder.at("both"));
  assertEquals(both.code, 0, both.stderr);
  assertEquals(Deno.statSync(site.folder.at(`both/${link}`)).nlink, 2);
});

Deno.test("a folder that is not empty is refused, but with --into-existing (row 44)", async () => {
  using site = await stored();
  site.folder.write("target/own", "mine");
  site.folder.write(site.restored("a/one").slice(site.folder.path.length + 1), "old");
  const refused = await site.restore("latest", "--target", site.target);
  assertEquals(refused.code, 2);
  assertStringIncludes(refused.lastLine, "--into-existing");
  assertEquals(Deno.readTextFileSync(site.restored("a/one")), "old");
  const allowed = await site.restore("latest", "--into-existing", "--target", site.target);
  assertEquals(allowed.code, 0, allowed.stderr);
  assertEquals(Deno.readTextFileSync(site.restored("a/one")), "1");
  assertEquals(Deno.readTextFileSync(`${site.target}/own`), "mine");
});

Deno.test("a target that is a file, or without a parent, or not named, is refused", async () => {
  using site = await stored();
  for (const target of [site.folder.write("file", "x"), site.folder.at("no/parent")]) {
    assertEquals((await site.restore("latest", "--target", target)).code, 2, target);
  }
  const { code, lastLine } = await site.restore("latest");
  assertEquals(code, 2);
  assertStringIncludes(lastLine, "--target");
  assertEquals(Deno.readTextFileSync(site.folder.at("file")), "x");
});

Deno.test("--target - gives the plain tar, from a compressed archive over SSH too", async () => {
  using site = await stored();
  await using sshd = await Sshd.start();
  const to = sshd.destination(site.storage);
  const name = await backUp(to, "--compression", "zstd", site.folder.at("data"));
  const script = 'out=$1; shift; exec "$@" >"$out"';
  for (const from of [[site.storage], to]) {
    const out = site.folder.at("out.tar");
    const args = ["restore", name, "--from", ...from, "--target", "-"];
    const { code, stderr } = await plasma(args, { through: ["sh", "-c", script, "sh", out] });
    assertEquals(code, 0, stderr);
    await sh("sh", "-c", 'zstd -dc "$0" | cmp - "$1"', `${site.storage}/${name}`, out);
  }
});

Deno.test("--dry-run lists what would come, and writes nothing", async () => {
  using site = await stored();
  const all = await site.restore("latest", "--dry-run", "--target", site.target);
  assertEquals(all.code, 0, all.stderr);
  const members = await membersOf(`${site.storage}/${site.name}`);
  assertEquals(all.stdout.trimEnd().split("\n"), members);
  const some = await site.restore("latest", site.folder.at("data/b"), "--dry-run");
  const below = members.filter((name) => name.includes("data/b/"));
  assertEquals(some.stdout.trimEnd().split("\n"), below);
  assertEquals(namesIn(site.folder.path).includes("target"), false);
});

Deno.test("--json tells what was restored", async () => {
  using site = await stored();
  const { stdout } = await site.restore("latest", "--json", "--target", site.target);
  const path = `${site.storage}/${site.name}`;
  assertEquals(JSON.parse(stdout), {
    archive: site.name,
    bytes: Deno.statSync(path).size,
    sha256: await sha256Of(path),
    proven: true,
    warnings: [],
  });
});

testThatNeeds(["root"], "a target that is full fails, and says so (row 44)", async () => {
  using site = await stored();
  site.folder.write("data/large", new Uint8Array(4 << 20).fill(65));
  await backUp([site.storage], site.folder.at("data"));
  await using small = await Mount.tmpfs(site.folder.at("small"), 2);
  const { code, lastLine } = await site.restore("latest", "--target", small.path);
  assertEquals(code, 1);
  assertStringIncludes(lastLine, "No space left");
});

Deno.test("an archive that GNU tar made and scp brought is restored, and not called proven", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const storage = folder.storage("storage");
  folder.write("data/file", "by hand");
  await sh("tar", "-C", folder.path, "--gzip", "-cf", folder.at("own.tar.gz"), "data");
  const { port, login, identityFile, knownHostsFile } = sshd.settings;
  const name = "20250101-0000-daily.tar.gz";
  const options = [
    "-P",
    `${port}`,
    "-i",
    identityFile,
    "-o",
    `UserKnownHostsFile=${knownHostsFile}`,
  ];
  await sh(
    "scp",
    "-O",
    "-q",
    ...options,
    folder.at("own.tar.gz"),
    `${login}@127.0.0.1:${storage}/${name}`,
  );
  assertEquals(archivesIn(storage), [name]);
  const args = ["restore", "latest", "--from", ...sshd.destination(storage), "--target"];
  const byHand = await plasma([...args, folder.at("target")]);
  assertEquals(byHand.code, 0, byHand.stderr);
  assertStringIncludes(byHand.stderr, "no checksum");
  assertEquals(Deno.readTextFileSync(folder.at("target/data/file")), "by hand");
  await writeSidecar(storage, name);
  const proven = await plasma([...args, folder.at("proven")]);
  assertStringIncludes(proven.stderr, "is what was stored");
});
