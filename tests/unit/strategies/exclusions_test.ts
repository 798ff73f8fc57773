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
