import { assertEquals } from "@std/assert";
import { placeOf, quotePlace } from "../../../src/strategies/long_paths.ts";

Deno.test("row 53: placeOf() finds the folder above a path that is too long, in bytes", () => {
  // With the leading slash that is missing: 10 bytes.
  for (
    const line of ["etc/abc/d", "etc/abc/d/", "./etc/abc/d", "etc/a\\303\\244/d", "etc/a\\n\\\\/d"]
  ) {
    const parts = line.replace(/\/$/, "").split("/");
    const above = (count: number) => parts.slice(0, -count).join("/").replace(/^\.$/, "./");
    assertEquals(placeOf(line, 10), undefined, line);
    assertEquals(placeOf(line, 9), above(1), line);
    assertEquals(placeOf(line, 8), above(1), line);
    assertEquals(placeOf(line, 7), above(2), line);
    assertEquals(placeOf(line, 4), above(2), line);
  }
});

Deno.test("row 53: quotePlace() lets no name end before its end, and none be too long", () => {
  assertEquals(quotePlace('/home/bob/y", "/home/zoe'), '"/home/bob/y\\", \\"/home/zoe"');
  assertEquals(quotePlace(`/${"a".repeat(500)}`), `"/${"a".repeat(119)}..."`);
});
