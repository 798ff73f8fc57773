import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";

/** Paths to restore, as people write them and as they were shown to them. */

const files = [
  "plain",
  "deep/ä/file",
  "deep/ä/ö.log",
  "deep/b.log",
  "deep/log",
  "star/a*b",
  "star/aXb",
  "star/a/b",
  "[set]/x",
  "s/x",
  "new\nline",
  "back\\slash",
  "odd\\303\\244",
];

async function archive(folder: TemporaryFolder): Promise<string> {
  for (const file of files) folder.write(`data/${file}`, file);
  const storage = folder.storage("storage");
  const { code, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
  assertEquals(code, 0, stderr);
  return storage;
}

/** The files that come back for a path below the archived folder, whose path is put before it. */
async function restore(folder: TemporaryFolder, storage: string, path: string): Promise<string[]> {
  const target = folder.at(`target${Math.random()}`);
  const args = ["--from", storage, "--target", target];
  const { code, stderr } = await plasma(["restore", "latest", path, ...args]);
  assertEquals(code, 0, `${path}: ${stderr}`);
  const root = `${target}${folder.at("data")}/`;
  const found = await sh("find", target, "-type", "f", "-printf", "%p\\0");
  return found.split("\0").filter((one) => one !== "").map((one) => one.replace(root, "")).sort();
}

Deno.test("row 70: paths can be restored in any form in which they were shown", async () => {
  using folder = new TemporaryFolder();
  const storage = await archive(folder);
  const inside = folder.at("data").slice(1);
  const expected: Record<string, readonly string[]> = {
    [`/${inside}/plain`]: ["plain"],
    [`./${inside}/plain`]: ["plain"],
    [`//${inside}//.//plain/`]: ["plain"],
    [`${inside}/deep/ä`]: ["deep/ä/file", "deep/ä/ö.log"],
    [`${inside}/deep/\\303\\244`]: ["deep/ä/file", "deep/ä/ö.log"],
    [`${inside}/new\\nline`]: ["new\nline"],
    [`${inside}/new\nline`]: ["new\nline"],
    [`${inside}/back\\\\slash`]: ["back\\slash"],
    [`${inside}/back\\slash`]: ["back\\slash"],
    // It is called so: its own name comes before what it could mean.
    [`${inside}/odd\\303\\244`]: ["odd\\303\\244"],
    [`${inside}/star/a*b`]: ["star/a*b"],
    [`${inside}/star/a?b`]: ["star/a*b", "star/aXb"],
    [`${inside}/star/[a]*b`]: ["star/a*b", "star/aXb"],
    [`${inside}/star/a[*]b`]: ["star/a*b"],
    [`${inside}/star/a\\*b`]: ["star/a*b"],
    [`${inside}/deep/*.log`]: ["deep/b.log"],
    [`${inside}/deep/**.log`]: ["deep/b.log", "deep/ä/ö.log"],
    [`${inside}/deep/?`]: ["deep/ä/file", "deep/ä/ö.log"],
    [`${inside}/[set]`]: ["[set]/x"],
    [`${inside}/[r-t]`]: ["s/x"],
    [`${inside}/deep*`]: ["deep/b.log", "deep/log", "deep/ä/file", "deep/ä/ö.log"],
  };
  for (const [path, names] of Object.entries(expected)) {
    assertEquals(await restore(folder, storage, path), [...names].sort(), path);
  }
});

Deno.test("row 70: what --dry-run lists can be restored by that name", async () => {
  using folder = new TemporaryFolder();
  const storage = await archive(folder);
  const { code, stdout } = await plasma(["restore", "latest", "--from", storage, "--dry-run"]);
  assertEquals(code, 0);
  const listed = stdout.trimEnd().split("\n").filter((line) => !line.endsWith("/"));
  assertEquals(listed.length, files.length);
  const restored = [];
  for (const path of listed) restored.push(...await restore(folder, storage, path));
  // Of two that are shown the same way the one of that name comes.
  assertEquals(restored.sort(), [...files].sort());
});

Deno.test("row 70: a path that means nothing in the archive is named, and nothing is unpacked", async () => {
  using folder = new TemporaryFolder();
  const storage = await archive(folder);
  for (const path of [`${folder.at("data")}/nothing*`, "nothing", "a/../b"]) {
    const target = folder.at("target");
    const args = ["--from", storage, "--target", target];
    const { code, lastLine } = await plasma(["restore", "latest", path, ...args]);
    assertEquals(code > 0, true);
    assertStringIncludes(lastLine, path.replace(/^\//, ""));
    assertMatch(lastLine, /--dry-run|write it without/);
  }
  assertEquals(namesIn(folder.at("target")), []);
});
