import { assertEquals } from "@std/assert";
import { escapeBytes, escapeName } from "../../../src/system/tar_names.ts";
import { Glob } from "../../../src/restore/glob.ts";

/** Patterns, names that fit and names that do not. */
const cases: Record<string, readonly [fit: readonly string[], others: readonly string[]]> = {
  "a/b": [["a/b", "a/b/c"], ["a", "a/bc", "x/a/b", ""]],
  "a/*": [["a/b", "a/b/c", "a/"], ["a", "b/a/c"]],
  "a*": [["a", "ab", "a/b"], ["ba"]],
  "**/c": [["a/c", "a/b/c", "/c"], ["c", "a/cd"]],
  "a**c": [["ac", "a/b/c", "abc/d"], ["a", "a/b"]],
  "*.log": [["x.log", ".log"], ["a/x.log", "x.log2"]],
  "????.txt": [["abcd.txt", "äöüß.txt"], ["ä.txt", "abc.txt", "a/cd.txt"]],
  "a[bc]d": [["abd", "acd"], ["add", "a/d"]],
  "a[!b]d": [["acd"], ["abd", "a/d", "ad"]],
  "a[^b]d": [["acd"], ["abd", "a/d"]],
  "[ä].txt": [["ä.txt"], ["a.txt"]],
  "[a-cx-z]": [["b", "y"], ["d", "-"]],
  "[]]": [["]"], ["["]],
  "[a-]": [["a", "-"], ["b"]],
  "report[z-a].txt": [[], ["report[z-a].txt", "reportz.txt"]],
  "report\\[z-a\\].txt": [["report[z-a].txt"], []],
  "a[b": [["a[b"], ["ab"]],
  "\\303\\244*": [["ä", "äx"], ["x"]],
  "a\\*b": [["a*b"], ["axb"]],
  "a\\\\b": [["a\\b"], ["ab"]],
  "a\\nb": [["a\nb"], ["anb"]],
  "a\\qb": [["a\\qb"], ["aqb"]],
};

Deno.test("row 70: Glob fits as the patterns of a shell do, and takes what lies below", () => {
  for (const [pattern, [fit, others]] of Object.entries(cases)) {
    const glob = new Glob(pattern);
    for (const name of fit) assertEquals(glob.fits(escapeName(name)), true, `${pattern} ${name}`);
    for (const name of others) {
      assertEquals(glob.fits(escapeName(name)), false, `${pattern} ${name}`);
    }
  }
});

Deno.test("row 70: a byte that is not UTF-8 is one character to Glob", () => {
  const name = escapeBytes(new Uint8Array([0x61, 0xff, 0x62]));
  for (const pattern of ["a?b", "a*", "a[!x]b"]) assertEquals(new Glob(pattern).fits(name), true);
  assertEquals(new Glob("a??b").fits(name), false);
});

Deno.test("row 70: no name can make Glob take long", () => {
  const bytes = new Uint8Array(4000).fill(0x80);
  for (const name of [escapeBytes(bytes), "-".repeat(4000), "a".repeat(4000)]) {
    for (
      const pattern of ["?".repeat(20) + "x", "*-*-*-*-*-*.sql", "**a**a**a**a**b", "*?*?*?*?*z"]
    ) {
      assertEquals(new Glob(pattern).fits(name), false);
    }
  }
});
