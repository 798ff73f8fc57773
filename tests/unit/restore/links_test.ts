import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../src/errors.ts";
import { findLinks, LinksInTheWay } from "../../../src/restore/links.ts";

const links = (...paths: string[]) =>
  new LinksInTheWay(new TextEncoder().encode(paths.map((path) => `${path}\0`).join("")));

Deno.test("a link is in the way of a folder, and of what lies in one", () => {
  const ways: [name: string, isInTheWay: boolean][] = [
    ["a/b", false],
    ["a/b/", true],
    ["a/b/c", true],
    ["./a//b/c/d", true],
    ["/a/b/", true],
    ["a/bc/", false],
    ["b/", false],
    ["a/new\\nline/", true],
    ["\\303\\274/x", true],
  ];
  for (const [name, isInTheWay] of ways) {
    const found = links("./a/b", "./a/new\nline", "./ü");
    found.add(name);
    if (isInTheWay) assertThrows(() => found.require("/t"), UsageError, "symbolic links");
    else found.require("/t");
  }
});

Deno.test("where no links are none is looked for in the archive", () => {
  assertEquals([links().isPossible, links("./a").isPossible], [false, true]);
});

Deno.test("links are looked for below the paths, and on the way to them", () => {
  assertEquals(findLinks([]).args.slice(3), ["0", "."]);
  assertEquals(findLinks(["a/b/c", "a/d"]).args.slice(3), ["2", "a/b", "a", "./a/b/c", "./a/d"]);
});
