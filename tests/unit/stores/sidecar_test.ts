import { assertEquals } from "@std/assert";
import { formatSidecar, readSidecar } from "../../../src/stores/sidecar.ts";
import { TemporaryFolder } from "../../support/folders.ts";

const sha256 = "0123456789abcdef".repeat(4);

Deno.test("readSidecar() reads what sha256sum(1) writes, and nothing else", () => {
  using folder = new TemporaryFolder();
  const read = (text: string) => readSidecar(folder.write("sidecar", text));
  assertEquals(read(`${sha256}  a.tar\n`), { sha256, name: "a.tar" });
  assertEquals(read(`${sha256} *a.tar\n`), { sha256, name: "a.tar" });
  for (const text of ["", sha256, `${sha256}  ../a\n`, `${sha256}  a\nb\n`, "x  a\n"]) {
    assertEquals(read(text), undefined, text);
  }
  assertEquals(readSidecar(folder.at("missing")), undefined);
  assertEquals(readSidecar(folder.path), undefined);
});

Deno.test("readSidecar() reads what formatSidecar() writes", () => {
  using folder = new TemporaryFolder();
  const sidecar = { sha256, name: "20260101-0000-daily.tar.zst" };
  assertEquals(readSidecar(folder.write("sidecar", formatSidecar(sidecar))), sidecar);
});
