import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../../src/errors.ts";
import { compressionFilter } from "../../../src/filters/compression.ts";
import { filteredKind, openDecoders } from "../../../src/filters/mod.ts";

const programs = async (kind: string, identity?: string) =>
  (await openDecoders(kind, identity)).map(({ command }) =>
    command.program.replace("pigz", "gzip")
  );

Deno.test("what was put on last is taken off first", async () => {
  assertEquals(await programs("tar"), []);
  assertEquals(await programs("tar.gz"), ["gzip"]);
  assertEquals(await programs("tar.zst.age", "/key"), ["age", "zstd"]);
  assertEquals(await programs("tar.age", "/key"), ["age"]);
});

Deno.test("an encrypted archive without an identity is refused", async () => {
  await assertRejects(() => openDecoders("tar.xz.age", undefined), UsageError, "is encrypted");
});

Deno.test("suffixes are added in the order of the filters", async () => {
  const zstd = await compressionFilter({ type: "zstd", level: 22 });
  assertEquals(zstd!.encoder.command.args!.slice(-2), ["--ultra", "-22"]);
  assertEquals(filteredKind("tar", [zstd!, { ...zstd!, suffix: ".age" }]), "tar.zst.age");
  assertEquals(await compressionFilter({ type: "none" }), undefined);
});
