import { assertEquals } from "@std/assert";
import { isSubvolumeName, subvolumeName } from "../../../src/stores/manifest.ts";

Deno.test("row 53: subvolumeName() gives no two paths one name, whatever users call theirs", () => {
  const start = "a".repeat(177);
  const paths = [
    `/${start}\u{1f600}xx`,
    ...Array.from({ length: 20 }, (_, n) => `/${start}~${n}`),
    ...Array.from({ length: 20 }, (_, n) => `/${start}%~${n}`),
    `/${start}${"b".repeat(200)}`,
    `/${start}${"b".repeat(201)}`,
    `/${"\x01".repeat(80)}`,
  ];
  for (let turn = 0; turn < paths.length; turn++) {
    const names = paths.map((path, index) => subvolumeName(path, (index + turn) % paths.length));
    assertEquals(new Set(names).size, names.length);
    assertEquals(names.every(isSubvolumeName), true);
  }
});
