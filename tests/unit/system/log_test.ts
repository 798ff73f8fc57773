import { assertEquals } from "@std/assert";
import { printable } from "../../../src/system/log.ts";

Deno.test("printable() shows control characters instead of sending them", () => {
  assertEquals(printable("a\x07b\x00\x7f"), "a\\x07b\\x00\\x7f");
  assertEquals(
    printable("\x1b]0;title\x07\x1b[2J\x1b[1;31m"),
    "\\x1b]0;title\\x07\\x1b[2J\\x1b[1;31m",
  );
  assertEquals(printable("\r\x0b"), "\\x0d\\x0b");
});

Deno.test("printable() leaves lines, tabs, colours and letters of all languages alone", () => {
  const text = "a\tb\nc \x1b[31mred\x1b[39m äß漢";
  assertEquals(printable(text), text);
});
