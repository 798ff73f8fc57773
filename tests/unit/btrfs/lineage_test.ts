import { assertEquals } from "@std/assert";
import { ctransidOf } from "../../../src/btrfs/last_change.ts";
import { byUuidOf, lineOf, StatePool, statesOf } from "../../../src/btrfs/lineage.ts";

/** Given as "UUID MADE-IN PARENT". */
function subvolumes(...lines: string[]) {
  const all = lines.map((line, id) => {
    const [uuid, madeIn, parentUuid] = line.split(" ");
    return {
      id,
      uuid,
      parentUuid: parentUuid === "-" ? undefined : parentUuid,
      path: "",
      generation: 99,
      madeIn: Number(madeIn),
      receivedUuid: undefined,
      readOnly: false,
    };
  });
  const byUuid = byUuidOf(all);
  const of = (uuid: string) => byUuid.get(uuid)!;
  return {
    line: (uuid: string) => Object.fromEntries(lineOf(of(uuid), byUuid)),
    states: (uuid: string, changedIn?: number) =>
      statesOf(of(uuid), 50, changedIn, byUuid).map(({ of, at }) => `${of} ${at}`),
    nearest(uuid: string, others: readonly [string, number?][]) {
      const pool = new StatePool<string>();
      for (const [other, changedIn] of others) {
        pool.add(statesOf(of(other), 50, changedIn, byUuid), other);
      }
      return pool.nearestOn(lineOf(of(uuid), byUuid));
    },
  };
}

Deno.test("row 84: lineOf() goes back through what a subvolume was made of", () => {
  const { line } = subvolumes("a 5 -", "b 10 a", "c 20 b", "d 30 gone", "e 8 b");
  assertEquals(line("a"), { a: Infinity });
  assertEquals(line("c"), { c: Infinity, b: 20, a: 10 });
  assertEquals(line("d"), { d: Infinity, gone: 30 });
  // Made before what it is said to be made of: a list that cannot be right claims no more.
  assertEquals(line("e"), { e: Infinity, b: 8, a: 8 });
  assertEquals(subvolumes("x 5 y", "y 6 x").line("x"), { x: Infinity, y: 5 });
});

Deno.test("row 84: statesOf() takes what never changed for what it was made of", () => {
  const { states } = subvolumes("a 5 -", "b 10 a", "c 20 b", "d 30 gone");
  assertEquals(states("c"), ["c 50"]);
  assertEquals(states("c", 21), ["c 21"]);
  assertEquals(states("c", 15), ["c 15", "b 15"]);
  assertEquals(states("c", 7), ["c 7", "b 7", "a 7"]);
  assertEquals(states("d", 30), ["d 30", "gone 30"]);
});

Deno.test("row 84: what went on by itself is on no line but its own", () => {
  const { nearest } = subvolumes("t 5 -", "one 10 t", "two 11 t", "ro 20 one", "rest 30 two");
  assertEquals(nearest("two", [["one", 12], ["ro", 12]]), undefined);
  assertEquals(nearest("two", [["t", 12], ["one", 12]]), undefined);
  assertEquals(nearest("two", [["t"]]), undefined, "it is not known when it was changed");
  assertEquals(nearest("two", [["t", 9], ["one", 12]]), "t");
  assertEquals(nearest("two", [["one", 9]]), "one");
  assertEquals(nearest("one", [["t", 9], ["ro", 18]]), "ro");
  assertEquals(nearest("rest", [["two", 25], ["t", 9]]), "two");
});

Deno.test("ctransidOf() reads the first command of a stream, and no other", () => {
  const good = "62747266732d73747265616d00010000002700000001009e970af80f0003006b5f74010010" +
    "0092fb1b7efe4fad4590ccea2cff550639020008000700000000000000";
  assertEquals(ctransidOf(good), 7);
  assertEquals(ctransidOf(good.slice(0, -2)), undefined);
  assertEquals(ctransidOf(good.replace("6274", "6275")), undefined);
  assertEquals(ctransidOf(good.replace("270000000100", "270000000200")), undefined);
  assertEquals(ctransidOf(""), undefined);
});
