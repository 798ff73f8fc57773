import { assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { unpack } from "../support/storage.ts";

/** A line for each entry of a tree, with all that is to be preserved. */
async function walk(path: string): Promise<string[]> {
  return (await sh("python3", fromRoot("tests/testdata/walk_tree.py"), path)).split("\n");
}

/** Unpack all of a tree: members beyond PATH_MAX, which tar -x cannot reach from above, from below. */
async function unpackTree(archive: string, tree: string, target: string): Promise<void> {
  const middle = `${tree.slice(1)}/deep${`/${"d".repeat(240)}`.repeat(10)}`;
  await unpack(archive, target, `--exclude=${middle}/*`);
  const [above, depth] = [middle.slice(0, -241), middle.split("/").length];
  await unpack(archive, `${target}/${above}`, `--strip-components=${depth - 1}`, middle);
}

const needs = ["root", "program python3"] as const;

testThatNeeds(needs, "rows 6, 7: a tree of all that is hard comes back as it was", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const storage = folder.storage("storage");
  await sh("python3", fromRoot("tests/testdata/make_tree.py"), folder.at("tree"));
  const before = await walk(folder.at("tree"));
  assertEquals(before.length > 130, true, "the tree was made");

  const { code, stdout, stderr } = await plasma(
    ["backup", "--to", ...sshd.destination(storage), folder.at("tree")],
    { currentFolder: folder.path },
  );
  assertEquals(code, 0, stderr);
  const archive = `${storage}/${stdout.trimEnd()}`;
  await unpackTree(archive, folder.at("tree"), folder.at("restored"));

  assertEquals(await walk(folder.at(`restored${folder.at("tree")}`)), before);
  assertEquals(await walk(folder.at("tree")), before, "the source is untouched");
  assertEquals(namesIn(folder.path).includes("executed"), false);
});

testThatNeeds(
  needs,
  "plasma restore brings back what is deeper than a path may be long (row 7)",
  async () => {
    using folder = new TemporaryFolder();
    await using sshd = await Sshd.start();
    const storage = folder.storage("storage");
    for (const make of ["make_tree", "make_deep_tree"]) {
      await sh("python3", fromRoot(`tests/testdata/${make}.py`), folder.at(make));
    }
    const trees = [folder.at("make_tree"), folder.at("make_deep_tree")];
    const [destination, ...flags] = sshd.destination(storage);
    const backup = await plasma(
      ["backup", "--to", destination, ...flags, "--compression", "zstd", ...trees],
      { currentFolder: folder.path },
    );
    assertEquals(backup.code, 0, backup.stderr);
    const restore = (target: string, ...paths: string[]) =>
      plasma(
        ["restore", "latest", ...paths, "--from", destination, ...flags, "--target", target],
        { currentFolder: folder.path },
      );
    const all = await restore(folder.at("all"));
    assertEquals(all.code, 0, all.stderr);
    for (const tree of trees) assertEquals(await walk(folder.at(`all${tree}`)), await walk(tree));
    const one = await restore(folder.at("one"), trees[1]!);
    assertEquals(one.code, 0, one.stderr);
    assertEquals(await walk(folder.at(`one${trees[1]}`)), await walk(trees[1]!));
    assertEquals(namesIn(folder.at(`one${folder.path}`)), ["make_deep_tree"]);
    assertEquals(namesIn(folder.path).includes("executed"), false);
  },
);

testThatNeeds(
  needs,
  "row 90: an archive that is another one when it is read again is not restored as the first",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    await sh("python3", fromRoot("tests/testdata/make_deep_tree.py"), folder.at("tree"));
    const stored: string[] = [];
    for (const text of ["honest", "evil"]) {
      folder.write("tree/file", text);
      const { code, stdout, stderr } = await plasma(["backup", "--to", storage, folder.at("tree")]);
      assertEquals(code, 0, stderr);
      stored.push(`${storage}/${stdout.trimEnd()}`);
    }
    const [honest, evil] = stored as [string, string];
    // As soon as the first one is unpacked the storage shows the other in its place.
    folder.write(
      "bin/tar",
      `#!/bin/sh
real=$(PATH=\${PATH#*:} command -v tar)
case "$*" in *--extract*) ;; *) exec "$real" "$@" ;; esac
"$real" "$@"; status=$?
mv ${evil} ${honest}; mv ${evil}.sha256 ${honest}.sha256
sed -i s/${evil.split("/").at(-1)}/${honest.split("/").at(-1)}/ ${honest}.sha256
exit $status
`,
    );
    Deno.chmodSync(folder.at("bin/tar"), 0o755);
    const { code, lastLine } = await plasma(
      ["restore", honest.split("/").at(-1)!, "--from", storage, "--target", folder.at("all")],
      { environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` } },
    );
    assertEquals(code, 1, lastLine);
    assertStringIncludes(lastLine, "changed between two readings");
  },
);

testThatNeeds(needs, "a plain tar -xp brings back all but attributes and ACLs", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  await sh("python3", fromRoot("tests/testdata/make_tree.py"), folder.at("tree"));
  await sh("rm", "-r", folder.at("tree/attributes"), folder.at("tree/deep"));
  const { code, stdout, stderr } = await plasma(["backup", "--to", storage, folder.at("tree")]);
  assertEquals(code, 0, stderr);
  Deno.mkdirSync(folder.at("restored"));
  await sh("tar", "-xpf", `${storage}/${stdout.trimEnd()}`, "-C", folder.at("restored"));
  const restored = await walk(folder.at(`restored${folder.at("tree")}`));
  assertEquals(restored, await walk(folder.at("tree")));
});

testThatNeeds(needs, "hard links across configured folders stay hard links (row 7)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("a/file", "content");
  Deno.mkdirSync(folder.at("b"));
  Deno.linkSync(folder.at("a/file"), folder.at("b/same"));
  const { code, stdout } = await plasma([
    "backup",
    "--to",
    storage,
    folder.at("b"),
    folder.at("a"),
  ]);
  assertEquals(code, 0);
  await unpack(`${storage}/${stdout.trimEnd()}`, folder.at("restored"));
  const inode = (name: string) => Deno.statSync(folder.at(`restored${folder.at(name)}`)).ino;
  assertEquals(inode("a/file"), inode("b/same"));
});

const strangeFolders = [
  "-rf",
  "--exclude=*",
  "new\nline",
  "back\\slash",
  "octal\\101",
  "escape\\n",
  "*",
  "[a-z]?{b,c}",
  " spaces ",
  "$(touch executed);`touch executed`",
  "'quotes\"",
  "ü☃",
  "@file",
  "a".repeat(255),
];

testThatNeeds(needs, "row 6: folders of any name come back, and only they", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  for (const name of strangeFolders) folder.write(`source/${name}/file`, name);
  folder.write("source/not configured/file", "x");
  folder.write("source/z/file", "matched by a pattern, but not configured");
  const config = folder.write(
    "agent.json",
    JSON.stringify({
      folders: strangeFolders.map((name) => folder.at(`source/${name}`)),
      strategy: "tar",
      remoteFolder: storage,
    }),
  );
  const { code, stderr } = await plasma(["backup", "--config", config], {
    currentFolder: folder.path,
  });
  assertEquals(code, 0, stderr);
  await unpack(`${storage}/${archivesIn(storage)[0]}`, folder.at("restored"));

  const restored = folder.at(`restored${folder.at("source")}`);
  assertEquals(namesIn(restored), strangeFolders.toSorted());
  for (const name of strangeFolders) {
    assertEquals(Deno.readTextFileSync(`${restored}/${name}/file`), name);
  }
  assertEquals(namesIn(folder.path).includes("executed"), false);
});
