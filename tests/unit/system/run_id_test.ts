import { assert, assertEquals, assertFalse, assertNotEquals } from "@std/assert";
import { describeDestination, parseDestination } from "../../../src/config/destination.ts";
import { isSameOwner, newRunId, ownerOf, runOwner } from "../../../src/system/run_id.ts";

const owner = { machine: "0123abcd", target: "89abcdef" };

Deno.test("newRunId() makes ids that differ, and that name their owner", () => {
  const ids = Array.from({ length: 100 }, () => newRunId(owner));
  assertEquals(new Set(ids).size, 100);
  for (const id of ids) assertEquals(runOwner(id), owner);
});

Deno.test("runOwner() knows only ids, and nothing that leads elsewhere as a file name", () => {
  const id = "20261123T084405Z-0123abcd-89abcdef-00000000";
  assertEquals(runOwner(id), owner);
  const foreign = [
    "",
    `${id} `,
    `${id}\n`,
    `/${id}`,
    `../${id}`,
    `${id}.part`,
    id.toUpperCase(),
    id.replace("T", "t"),
    id.slice(0, -1),
    `${id}0`,
    id.replaceAll("-", "/"),
    "20261123T084405Z-0123abcd-89abcdef",
  ];
  for (const name of foreign) assertEquals(runOwner(name), undefined, name);
});

Deno.test("isSameOwner() compares machine and target, and not time and random part", () => {
  const id = newRunId(owner);
  assert(isSameOwner(id, "20010101T000000Z-0123abcd-89abcdef-ffffffff"));
  assertFalse(isSameOwner(id, newRunId({ ...owner, machine: "00000000" })));
  assertFalse(isSameOwner(id, newRunId({ ...owner, target: "00000000" })));
  assertFalse(isSameOwner("foreign", "foreign"));
});

Deno.test("ownerOf() tells destinations apart, and knows one again", () => {
  const ownerOfText = (text: string) =>
    ownerOf("0123abcd", describeDestination(parseDestination(text, "/")));
  assertEquals(ownerOfText("me@host:/data"), ownerOfText("ssh://me@host:22/data/"));
  assertNotEquals(ownerOfText("me@host:/data"), ownerOfText("ssh://me@host:23/data"));
  assertNotEquals(ownerOfText("me@host:/data"), ownerOfText("you@host:/data"));
  assertNotEquals(ownerOfText("/data"), ownerOfText("/data2"));
  assert(runOwner(newRunId(ownerOfText("/data"))) !== undefined);
});
