import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../src/errors.ts";
import { findAnyLink, findLinks, LinksInTheWay } from "../../../src/restore/links.ts";
import { run } from "../../../src/system/process.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { sh } from "../../support/sh.ts";

/** Looks for the links of a folder in the way of members. */
async function linksInTheWay(target: string, ...members: string[]) {
  const links = new LinksInTheWay(async (folders) => {
    Deno.writeFileSync(`${target}-asked`, folders);
    const { program, args } = findLinks(false);
    const words = ["-c", 'cd "$1" && shift && exec "$@" <"$0"', `${target}-asked`, target];
    const { exit, stdout } = await run({ program: "sh", args: [...words, program, ...args] });
    assertEquals(exit.code, 0);
    return stdout;
  });
  for (const name of members) await links.add(name);
  await links.flush();
  return links;
}

Deno.test("a link is in the way of a folder, and of what lies in one", async () => {
  using folder = new TemporaryFolder();
  const target = folder.at("t");
  Deno.mkdirSync(`${target}/a/e`, { recursive: true });
  for (const name of ["a/b", "a/new\nline", "ü", "a/-n *", "a/\\1"]) {
    Deno.symlinkSync("nowhere", `${target}/${name}`);
  }
  const ways: [name: string, isInTheWay: boolean][] = [
    ["a/b", false],
    ["a/b/", true],
    ["a/b/c", true],
    ["./a//b/c/d", true],
    ["/a/b/", true],
    ["a/bc/", false],
    ["a/e/", false],
    ["b/", false],
    ["./", false],
    ["../t/a/b/", false],
    ["a/new\\nline/", true],
    ["\\303\\274/x", true],
    ["a/-n */x", true],
    ["a/\\\\1/x", true],
  ];
  for (const [name, isInTheWay] of ways) {
    const found = await linksInTheWay(target, "a/e/f", name);
    if (isInTheWay) assertThrows(() => found.require("/t"), UsageError, "symbolic links", name);
    else found.require("/t");
  }
});

Deno.test("links in the way are counted once, in batches, and the first ones named", async () => {
  using folder = new TemporaryFolder();
  const target = folder.at("t");
  Deno.mkdirSync(target);
  await sh("sh", "-c", 'cd "$0" && for n in $(seq 10 16); do ln -s nowhere $n; done', target);
  const many = Array.from({ length: 400 }, (_, n) => `${10 + n % 7}/${"d/".repeat(2000)}${n}`);
  const found = await linksInTheWay(target, ...many);
  assertThrows(() => found.require("/t"), UsageError, "10, 11, 12, 13, 14 (and 2 more)");
});

Deno.test("what goes wrong in the search for links is said at its end", async () => {
  const links = new LinksInTheWay(() => Promise.reject(new Error("broken")));
  for (const name of ["a/b", "c/d"]) {
    await links.add(name);
    await links.flush();
  }
  assertThrows(() => links.require("/t"), Error, "broken");
});

Deno.test("links are looked for below the paths, and on the way to them", () => {
  assertEquals(findAnyLink([]).args.slice(3), ["0", "."]);
  assertEquals(findAnyLink(["a/b/c", "a/d"]).args.slice(3), ["2", "a/b", "a", "./a/b/c", "./a/d"]);
});
