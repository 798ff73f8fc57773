import { assertEquals } from "@std/assert";
import { table } from "../../../src/cli/output.ts";

Deno.test("table() aligns columns, on the right where asked", () => {
  assertEquals(
    table([["name", "5", "x"], ["longer name", "12345", "yy"]], [1]),
    "name             5  x\nlonger name  12345  yy\n",
  );
});

Deno.test("table() copes with rows of different lengths and leaves no trailing spaces", () => {
  assertEquals(table([["a"], ["bbb", "c"], ["", "", "d"]]), "a\nbbb  c\n        d\n");
  assertEquals(table([]), "");
});
