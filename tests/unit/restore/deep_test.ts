import { assertEquals } from "@std/assert";
import { DeepFolders } from "../../../src/restore/deep.ts";
import { escapeBytes, escapeName, unescapeName } from "../../../src/system/tar_names.ts";

const name = (parts: number, part = "x".repeat(99)) => Array(parts).fill(part).join("/");

Deno.test("names that the kernel takes need no folder", () => {
  const deep = new DeepFolders([]);
  deep.add("etc/passwd");
  deep.add(`${name(40)}/${"y".repeat(95)}`); // 4095 bytes
  deep.add(`${name(40)}/${"y".repeat(95)}/`);
  // As it is listed it is longer.
  deep.add(name(20, escapeName("ü".repeat(49))));
  assertEquals([deep.all, deep.isComplete], [[], false]);
});

Deno.test("a long name is reached from a folder for every 3500 bytes of it", () => {
  const deep = new DeepFolders([]);
  deep.add(`${name(40)}/${"y".repeat(96)}`);
  assertEquals(deep.all.map(({ steps }) => steps), [[name(35)]]);
  deep.add(`${name(100)}/`);
  assertEquals(deep.all.map(({ steps }) => steps), [[name(35)], [name(35), name(35)]]);
  assertEquals(deep.all.map((folder) => deep.countTooLong(folder)), [1, 0]);
  assertEquals(deep.countTooLong(), 2);
  assertEquals(deep.isComplete, true);
});

Deno.test("no folder is unpacked of which only a part is wanted", () => {
  for (const [member, isComplete] of [["x".repeat(99), true], [name(36), false]] as const) {
    const deep = new DeepFolders([member]);
    deep.add(name(50));
    assertEquals(deep.isComplete, isComplete);
  }
});

Deno.test("row 91: no more than some megabytes of names are kept", () => {
  const giant = name(40_000, "x".repeat(249));
  const deep = new DeepFolders([]);
  deep.add(name(50));
  deep.add(giant.slice(0, (1 << 20) + 1));
  assertEquals([deep.isComplete, deep.countTooLong(), deep.all], [false, 0, []]);
  const many = new DeepFolders([]);
  for (let n = 0; n < 300; n++) many.add(`${n}/${name(5000)}`);
  assertEquals([many.isComplete, many.countTooLong()], [false, 0]);
  const honest = new DeepFolders([]);
  for (let n = 0; n < 500; n++) honest.add(`${name(10_000, "d")}/${n}`);
  assertEquals([honest.isComplete, honest.countTooLong(), honest.all.length], [true, 500, 5]);
  const slashes = new DeepFolders([]);
  slashes.add(`${"/".repeat(1 << 19)}x`);
  assertEquals(slashes.isComplete, false);
});

Deno.test("unescapeName() gives back what escapeBytes() took", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  assertEquals(unescapeName(escapeBytes(bytes)), bytes);
});

Deno.test("escapeName() gives names as tar lists them", () => {
  assertEquals(escapeName("a b%\n\t\\ü\u007f'\"$*"), "a b%\\n\\t\\\\\\303\\274\\177'\"$*");
});
