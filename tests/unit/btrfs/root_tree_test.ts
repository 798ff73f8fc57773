import { assertEquals } from "@std/assert";
import { parseRoots } from "../../../src/btrfs/root_tree.ts";

const uuids = {
  own: "c0dd8a80-1baf-3b41-9b23-97d11e8d3c81",
  other: "f08e45d4-e1db-b242-b48c-81d1594d9551",
  none: "00000000-0000-0000-0000-000000000000",
};

const item = (key: string, size: number) => `\titem 1 key (${key}) itemoff 9 itemsize ${size}\n`;

const root = (
  id: number | string,
  { flags = "0x0(none)", parent = uuids.none, uuid = uuids.own } = {},
) =>
  item(`${id} ROOT_ITEM 0`, 439) +
  `\t\tgeneration 9 root_dirid 256 bytenr 1 byte_limit 0 bytes_used 16384
\t\tlast_snapshot 7 flags ${flags} refs 1
\t\tdrop_progress key (0 UNKNOWN.0 0) drop_level 0
\t\tlevel 0 generation_v2 9
\t\tuuid ${uuid}
\t\tparent_uuid ${parent}
\t\treceived_uuid ${uuids.none}
\t\tctransid 9 otransid 7 stransid 0 rtransid 0
`;

const reference = (key: string, name: string) =>
  item(key, 18 + name.length) +
  `\t\troot ${key.includes("BACK") ? "backref" : "ref"} key dirid 256 sequence 2 name ${name}\n`;

Deno.test("parseRoots() finds the subvolumes, and none that is being deleted or something else", () => {
  const dump = "root tree\nleaf 30752768 items 9 free space 1 generation 9 owner ROOT_TREE\n" +
    root("EXTENT_TREE") + root("FS_TREE") + reference("FS_TREE ROOT_REF 256", "a") +
    root(256, { flags: "0x1(RDONLY)", parent: uuids.other }) +
    reference("256 ROOT_BACKREF 5", "a") + root(257);
  const found = { generation: 9, madeIn: 7, uuid: uuids.own, receivedUuid: undefined };
  assertEquals(parseRoots(dump), [
    { ...found, id: 5, parentUuid: undefined, readOnly: false, parentId: undefined },
    { ...found, id: 256, parentUuid: uuids.other, readOnly: true, parentId: 5 },
  ]);
});

Deno.test("row 53: parseRoots() takes nothing in a name for an item", () => {
  const names = [
    `x\n${root(256, { uuid: uuids.other })}`,
    `x\n${reference("256 ROOT_BACKREF 9", "y")}`,
    `\n${root(300)}${reference("300 ROOT_BACKREF 5", "y")}`,
    "\n",
  ];
  for (const name of names) {
    const dump = root(256) + reference("256 ROOT_BACKREF 5", "a") +
      reference("256 ROOT_REF 257", name) + root(257) +
      reference("257 ROOT_BACKREF 256", name) + root(258) + reference("258 ROOT_BACKREF 5", "b");
    assertEquals(
      parseRoots(dump).map(({ id, uuid, parentId }) => [id, uuid, parentId]),
      [[256, uuids.own, 5], [257, uuids.own, 256], [258, uuids.own, 5]],
    );
  }
});
