import { assertEquals } from "@std/assert";
import { familiesOf } from "../../../src/btrfs/family.ts";

/** Families of subvolumes that are given as "ID UUID PARENT". */
function families(...lines: string[]): Record<number, string> {
  const subvolumes = lines.map((line) => {
    const [id, uuid, parentUuid] = line.split(" ").map((word) => word === "-" ? undefined : word);
    return {
      id: Number(id),
      uuid,
      parentUuid,
      path: "",
      generation: 7,
      madeIn: 7,
      receivedUuid: undefined,
      readOnly: false,
    };
  });
  return Object.fromEntries(familiesOf(subvolumes));
}

Deno.test("row 67: snapshots, and snapshots of them, are of the family of their origin", () => {
  assertEquals(families("258 c b", "256 a -", "257 b a", "259 d -"), {
    256: "a",
    257: "a",
    258: "a",
    259: "d",
  });
});

Deno.test("row 67: snapshots of an origin that is gone are one family", () => {
  assertEquals(families("257 b a", "258 c a", "259 d c"), { 257: "a", 258: "a", 259: "a" });
});

Deno.test("a subvolume without a uuid is a family by itself", () => {
  assertEquals(families("5 - -", "256 a -"), { 5: "5", 256: "a" });
});

Deno.test("uuids that go round in a circle come to an end", () => {
  const found = families("256 a b", "257 b a");
  assertEquals(found[256], found[257]);
});
