import { assertEquals } from "@std/assert";
import { PathPatterns } from "../../../src/strategies/exclusions.ts";

const cases: readonly [pattern: string, path: string, matches: boolean][] = [
  ["/srv/a", "/srv/a", true],
  ["/srv/a/", "/srv/a/b", true],
  ["/srv/a", "/srv/ab", false],
  ["/srv/a", "/x/srv/a", false],
  ["/srv/*", "/srv", false],
  ["/srv/*", "/srv/a/b", true],
  ["/home/*/.snapshots", "/home/x/y/.snapshots/1/snapshot", true],
  ["/home/*/.snapshots", "/home/x/snapshots", false],
  ["/srv/a?c", "/srv/abc", true],
  ["/srv/a?c", "/srv/ac", false],
  ["/srv/[a-c]1", "/srv/b1", true],
  ["/srv/[!a-c]1", "/srv/b1", false],
  ["/srv/[^a-c]1", "/srv/d1/e", true],
  ["/srv/[]]", "/srv/]", true],
  ["/srv/\\*", "/srv/*", true],
  ["/srv/\\*", "/srv/a", false],
  ["/srv/a.c", "/srv/abc", false],
  ["/srv/(a|b)+$", "/srv/(a|b)+$", true],
  ["/srv/a*", "/srv/a\nb", true],
  ["srv", "/srv", false],
  ["*.tmp", "/srv/a.tmp", false],
];

for (const [pattern, path, matches] of cases) {
  Deno.test(`row 67: ${pattern} ${matches ? "leaves out" : "does not touch"} ${path}`, () => {
    const patterns = new PathPatterns([pattern]);
    assertEquals(patterns.match(path), matches);
    assertEquals([...patterns.used], matches ? [pattern] : []);
  });
}

/** The same by a regular expression, which may take forever. */
function slowly(pattern: string, path: string): boolean {
  const literal = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const source = [...pattern.matchAll(/\\(.)|\[([!^]?)(\]?[^\]]*)\]|[^]/gs)].map(
    ([whole, escaped, not, set]) => {
      if (escaped !== undefined) return literal(escaped);
      if (set !== undefined) {
        return `[${not === "" ? "" : "^"}${set.replaceAll(/[\\\]^[]/g, "\\$&")}]`;
      }
      if (whole === "*") return ".*";
      return whole === "?" ? "." : literal(whole);
    },
  ).join("");
  return new RegExp(`^${source}(/|$)`, "s").test(path);
}

Deno.test("row 67: patterns of all kinds match what a regular expression does", () => {
  const parts = ["*", "?", "/", "a", "b", "[ab]", "[!a]", "\\*", "ä", "**", "[]a]", "\n"];
  const letters = ["a", "b", "/", "*", "ä", "]", "\n", "😀"];
  let state = 1;
  const random = (below: number) => {
    state = (state * 48271) % 0x7fffffff;
    return state % below;
  };
  const word = (of: readonly string[], length: number) =>
    Array.from({ length: random(length) }, () => of[random(of.length)]).join("");
  const tidy = (path: string) => `/x${path}`.replaceAll(/\/+/g, "/").replace(/\/$/, "");
  for (let round = 0; round < 20_000; round++) {
    const pattern = tidy(word(parts, 8));
    const path = tidy(word(letters, 10));
    assertEquals(
      new PathPatterns([pattern]).match(path),
      slowly(pattern, path),
      JSON.stringify([pattern, path]),
    );
  }
});

Deno.test("row 53: many stars and a path of many folders come to an end", () => {
  const path = "/home" + "/a".repeat(1900);
  const pattern = "/home/*/*/*/*/*/*/cache";
  assertEquals(new PathPatterns([pattern]).match(path), false);
  assertEquals(new PathPatterns([pattern]).match(`${path}/cache/b`), true);
});
