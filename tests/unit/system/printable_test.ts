import { assertEquals } from "@std/assert";
import { printable, printableJson } from "../../../src/system/printable.ts";

Deno.test("row 55: printable() shows control characters instead of sending them", () => {
  assertEquals(printable("a\x07b\x00\x7f"), "a\\x07b\\x00\\x7f");
  assertEquals(
    printable("\x1b]0;title\x07\x1b[2J\x1b[1;31m\x1b[31mred"),
    "\\x1b]0;title\\x07\\x1b[2J\\x1b[1;31m\\x1b[31mred",
  );
  assertEquals(printable("\r\x0b"), "\\r\\x0b");
  assertEquals(printable("\x80\x9b31m\x9f"), "\\x80\\x9b31m\\x9f");
});

Deno.test("row 55: printable() gives one line, in one direction", () => {
  assertEquals(printable("a\nplasma: b\r\nc\td"), "a\\nplasma: b\\r\\nc\\td");
  assertEquals(printable("\u2028\u2029\x85"), "\\u2028\\u2029\\x85");
  assertEquals(
    printable("\u202egpj.\u202c\u2066\u2069\u200f"),
    "\\u202egpj.\\u202c\\u2066\\u2069\\u200f",
  );
});

Deno.test("row 55: printable() shows what is not seen", () => {
  assertEquals(
    printable("/et\u200bc\u200c\u200d\u2060\ufeff s\u00adrv \u115f\u{e0041}"),
    "/et\\u200bc\\u200c\\u200d\\u2060\\ufeff s\\xadrv \\u115f\\udb40\\udc41",
  );
  assertEquals(printable("👩\u200d👧"), "👩\\u200d👧");
});

Deno.test("printable() leaves letters of all languages alone", () => {
  const text = "a b c äß漢 עברית العربية हिन्दी e\u0301 👩👧 ";
  assertEquals(printable(text), text);
});

Deno.test("row 55: printableJson() means the same", () => {
  const value = { "a\x9b\n": ["\u202e\x7f", "\\\x1b", "漢\u200b\u{e0041}"] };
  const text = printableJson(JSON.stringify(value, null, 2));
  assertEquals(JSON.parse(text), value);
  assertEquals(printable(text.replaceAll("\n", "")), text.replaceAll("\n", ""));
});
