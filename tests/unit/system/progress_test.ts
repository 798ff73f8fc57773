import { assertEquals } from "@std/assert";
import { formatBytes, formatSeconds } from "../../../src/system/progress.ts";

Deno.test("formatBytes() writes sizes in binary units", () => {
  assertEquals(formatBytes(0), "0 B");
  assertEquals(formatBytes(512), "512 B");
  assertEquals(formatBytes(20 * 2 ** 20), "20 MiB");
  assertEquals(formatBytes(1.5 * 2 ** 30), "1.5 GiB");
});

Deno.test("formatSeconds() writes the two largest units", () => {
  const texts: [number, string][] = [
    [0, "0.0 s"],
    [4.24, "4.2 s"],
    [59.9, "59.9 s"],
    [60, "1 min 0 s"],
    [185, "3 min 5 s"],
    [3599.4, "59 min 59 s"],
    [3599.6, "1 h 0 min"],
    [7800, "2 h 10 min"],
    [100 * 3600, "100 h 0 min"],
  ];
  for (const [seconds, text] of texts) assertEquals(formatSeconds(seconds), text);
});

Deno.test("formatSeconds() does not write sixty seconds", () => {
  assertEquals(formatSeconds(59.96), "1 min 0 s");
});
