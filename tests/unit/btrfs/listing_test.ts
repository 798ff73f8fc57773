import { assertEquals } from "@std/assert";
import { parseList } from "../../../src/btrfs/listing.ts";

const uuids = {
  own: "c0dd8a80-1baf-3b41-9b23-97d11e8d3c81",
  other: "f08e45d4-e1db-b242-b48c-81d1594d9551",
};

const row = (id: number, path: string, { parent = "-", uuid = uuids.own } = {}) =>
  `ID ${id} gen 9 cgen 7 parent 5 top level 5 parent_uuid ${parent.padEnd(36)} ` +
  `received_uuid ${"-".padEnd(36)} uuid ${uuid} path ${path}\n`;

/** Subvolumes by id, as both lists have them. */
function lists(subvolumes: readonly [number, string][]): [string, string] {
  const rows = subvolumes.map(([id, path]) => row(id, path));
  return [rows.join(""), rows.toReversed().join("")];
}

const pathsOf = (rows: readonly { id: number; path: string }[] | undefined) =>
  rows?.map(({ id, path }): [number, string] => [id, path]);

Deno.test("parseList() reads all columns", () => {
  const list = row(256, "a", { parent: uuids.other });
  assertEquals(parseList(list, list), [{
    id: 256,
    path: "a",
    generation: 9,
    madeIn: 7,
    uuid: uuids.own,
    parentUuid: uuids.other,
    receivedUuid: undefined,
  }]);
  assertEquals(parseList("", ""), []);
});

const plain: [number, string][] = [
  [256, "a"],
  [257, " b/c "],
  [300, "line\nbreaks\n\n"],
  [301, "x path y"],
  [302, "x\nID 5 gen 7 top level 5 path y"],
];

Deno.test("parseList() reads names with line breaks that look like no row", () => {
  assertEquals(pathsOf(parseList(...lists(plain))), plain);
});

for (const id of [1, 255, 256, 257, 258, 300, 301, 99_999]) {
  Deno.test(`row 53: parseList() finds a forged row for subvolume ${id}`, () => {
    for (const at of [256, 257, 300]) {
      const name = `x\n${row(id, "victim").trimEnd()}`;
      const forged = plain.map(([id, path]): [number, string] => [id, id === at ? name : path]);
      const [ascending, descending] = lists(forged);
      assertEquals(parseList(ascending, descending), undefined);
    }
  });
}

Deno.test("row 53: parseList() finds that the lists are of different moments", () => {
  const [ascending] = lists(plain);
  const [, descending] = lists(plain.slice(1));
  assertEquals(parseList(ascending, descending), undefined);
});
