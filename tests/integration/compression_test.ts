import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { backUp, makeTree, newKey, walk } from "../support/archives.ts";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh, tryRun } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

const needs = ["root", "program age", "program zstd", "program xz", "program python3"] as const;

/** Each type, its suffix, and the standard tool that decompresses it. */
const types = [
  { type: "none", suffix: "", tool: "cat" },
  { type: "gzip", suffix: ".gz", tool: "gzip -dc" },
  { type: "zstd", suffix: ".zst", tool: "zstd -dcq" },
  { type: "xz", suffix: ".xz", tool: "xz -dc" },
] as const;

for (const { type, suffix, tool } of types) {
  for (const encrypted of [false, true]) {
    for (const way of ["local", "ssh"] as const) {
      // The bytes on the way to a storage host are bytes: one kind of each does.
      if (way === "ssh" && (type === "none" || type === "xz")) continue;
      const what = `${type}${encrypted ? " and age" : ""}, ${way}`;
      testThatNeeds(needs, `a tree comes back as it was: ${what}`, async () => {
        using folder = new TemporaryFolder();
        await using sshd = way === "ssh" ? await Sshd.start() : undefined;
        const storage = folder.storage("storage");
        const [destination, ...flags] = sshd?.destination(storage) ?? [storage];
        const key = await newKey(folder);
        const tree = folder.at("tree");
        await makeTree(tree);
        await sh("rm", "-r", `${tree}/deep`);
        const before = await walk(tree);
        assert(before.length > 100, "the tree was made");

        const recipients = encrypted ? ["--recipient", key.recipient] : [];
        const to = [destination!, ...flags];
        const name = await backUp(to, "--compression", type, ...recipients, tree);
        assert(name.endsWith(`.tar${suffix}${encrypted ? ".age" : ""}`), name);

        const identity = encrypted ? ["--identity", key.file] : [];
        const target = folder.at("restored");
        const args = ["restore", "latest", "--from", ...to, ...identity, "--target", target];
        const { code, stderr } = await plasma(args);
        assertEquals(code, 0, stderr);
        assertStringIncludes(stderr, "is what was stored");
        assertEquals(await walk(`${target}${tree}`), before);

        const open = encrypted ? `age --decrypt --identity '${key.file}'` : "cat";
        const plain = "tar -xp --numeric-owner --acls --xattrs --xattrs-include='*'";
        const script = `set -o pipefail; mkdir "$1"; ${open} <"$0" | ${tool} | ${plain} -C "$1"`;
        await sh("bash", "-c", script, `${storage}/${name}`, folder.at("plain"));
        assertEquals(await walk(folder.at(`plain${tree}`)), before, "with plain tools");
      });
    }
  }
}

testThatNeeds(needs, "a level makes a difference, and a wrong one is refused", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  let words = "";
  for (let index = 0; index < 40_000; index++) words += `${(index * 7919) % 10_007} `;
  folder.write("data/words", words);
  const size = async (compression: string) => {
    const name = await backUp([storage], "--compression", compression, folder.at("data"));
    return Deno.statSync(`${storage}/${name}`).size;
  };
  assert(await size("zstd:1") > await size("zstd:22"));
  assert(await size("gzip:1") > await size("gzip:9"));
  for (const wrong of ["zstd:23", "zstd:0", "gzip:10", "xz:10", "zstd:x", "lz4", "none:1"]) {
    const args = ["backup", "--to", storage, "--compression", wrong, folder.at("data")];
    const { code, stderr } = await plasma(args);
    assertEquals(code, 2, `${wrong}: ${stderr}`);
  }
});

testThatNeeds(needs, "row 11: a missing compressor is named, and nothing is stored", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("data/file", "content");
  const bin = folder.at("bin");
  Deno.mkdirSync(bin);
  for (
    const program of [
      "sh",
      "tar",
      "cat",
      "gzip",
      "flock",
      "mkfifo",
      "timeout",
      "setsid",
      "deno",
      "env",
    ]
  ) {
    const { code, stdout } = await tryRun("sh", "-c", `command -v ${program}`);
    if (code === 0) Deno.symlinkSync(stdout.trim(), `${bin}/${program}`);
  }
  const args = ["backup", "--to", storage, "--compression", "zstd", folder.at("data")];
  const { code, lastLine } = await plasma(args, { environment: { PATH: bin } });
  assertEquals(code, 2, lastLine);
  assertStringIncludes(lastLine, "zstd");
  assertEquals(archivesIn(storage), []);
});
