import { assertEquals } from "@std/assert";
import {
  firstBatch,
  type Held,
  type PlannedSend,
  planSends,
} from "../../../src/backup/send_plan.ts";
import type { State } from "../../../src/btrfs/lineage.ts";
import { maximumOrders } from "../../../src/stores/protocol.ts";
import type { SentSubvolume } from "../../../src/strategies/mod.ts";

const snapshot = (identity: string, states: State[] = []) => ({
  path: `/snapshots/${identity}`,
  identity,
  states,
});

function subvolume(
  name: string,
  { family = name, madeIn = 1, forkedIn = Infinity, kept = [] as string[] } = {},
): SentSubvolume {
  return {
    path: `/${name}`,
    snapshot: snapshot(name, [{ of: name, at: madeIn }, { of: family, at: madeIn }]),
    parents: kept.map((identity) => snapshot(identity, [{ of: family, at: 0 }])),
    family,
    madeIn,
    line: new Map([[name, Infinity], [family, forkedIn]]),
    isNeeded: false,
  };
}

/** The plan as lines: what, of which parent, with which clone sources. */
function planOf(
  subvolumes: readonly SentSubvolume[],
  {
    stored = [] as string[],
    sent = [] as SentSubvolume[],
    refused = [] as string[],
    whole = [] as SentSubvolume[],
  } = {},
): string[] {
  const held: Held = {
    stored: new Set(stored),
    sent,
    refused: new Set(refused),
    whole: new Set(whole),
  };
  return planSends(subvolumes, held).map(({ subvolume, copy, parent, clones }) => {
    const from = copy ? "copied" : parent === undefined ? "whole" : `of ${parent.identity}`;
    return [subvolume.snapshot.identity, from, ...clones.map(({ identity }) => identity)].join(" ");
  });
}

Deno.test("planSends() builds upon the newest kept snapshot that the store has", () => {
  const one = subvolume("a", { kept: ["a3", "a2", "a1"] });
  assertEquals(planOf([one]), ["a whole"]);
  assertEquals(planOf([one], { stored: ["a1", "a2"] }), ["a of a2"]);
  assertEquals(planOf([one], { stored: ["a1", "a2"], refused: ["a2"] }), ["a of a1"]);
  assertEquals(planOf([one], { stored: ["a1", "a2"], refused: ["a2", "a1"] }), ["a whole"]);
});

Deno.test("planSends() copies what the store has as it is", () => {
  assertEquals(planOf([subvolume("a")], { stored: ["a"] }), ["a copied"]);
  assertEquals(planOf([subvolume("a")], { stored: ["a"], refused: ["a"] }), ["a whole"]);
  // Nothing else may go by what is stored already, so these are copied to the last.
  const both = [subvolume("a"), subvolume("b", { kept: ["b1"] })];
  assertEquals(planOf(both, { stored: ["a", "b1"] }), ["a copied", "b of b1 a"]);
  assertEquals(planOf(both, { stored: ["a", "b1"], whole: both }), ["a copied", "b whole"]);
});

Deno.test("row 67: planSends() sends each relative as what it has more than the one before", () => {
  const family = [5, 1, 3, 2, 4].map((madeIn) =>
    subvolume(`s${madeIn}`, { family: "home", madeIn: madeIn * 10 })
  );
  assertEquals(planOf(family), [
    "s1 whole",
    "s2 of s1",
    "s3 of s2 s1",
    "s4 of s3 s2 s1",
    "s5 of s4 s3 s2 s1",
  ]);
});

Deno.test("row 67: planSends() prefers a subvolume's own past, and then the nearest relative", () => {
  const live = subvolume("live", { family: "home", madeIn: 100, kept: ["old"] });
  const snapper = [1, 2].map((madeIn) => subvolume(`s${madeIn}`, { family: "home", madeIn }));
  assertEquals(planOf([live, ...snapper], { stored: ["old"] }), [
    "s1 of old",
    "s2 of s1 old",
    "live of old s2 s1",
  ]);
  // Those that were sent before, in another batch, go on being relatives.
  assertEquals(planOf([live], { sent: snapper }), ["live of s2 s1"]);
  assertEquals(planOf([live], { sent: snapper, refused: ["s2"] }), ["live of s1"]);
});

Deno.test("row 84: planSends() builds upon no relative that went on by itself", () => {
  // Two that were made of one template in 5, and changed in 7 and 8; it was changed in 6.
  const fork = (name: string, madeIn: number) =>
    subvolume(name, { family: "template", madeIn, forkedIn: 5 });
  const only = (one: SentSubvolume): SentSubvolume => ({
    ...one,
    snapshot: { ...one.snapshot, states: one.snapshot.states.slice(0, 1) },
  });
  const template = (madeIn: number) => subvolume("template", { madeIn });
  const [one, two] = [only(fork("one", 7)), only(fork("two", 8))];
  assertEquals(planOf([template(6), one, two]), ["template whole", "one whole", "two whole"]);
  assertEquals(planOf([template(4), one, two]), [
    "template whole",
    "one of template",
    "two of template one",
  ]);
});

Deno.test("planSends() clones between a few unrelated subvolumes, and does not among many", () => {
  const few = ["a", "b", "c"].map((name) => subvolume(name, { kept: [`${name}0`] }));
  const stored = ["a0", "b0", "c0"];
  assertEquals(planOf(few, { stored }), ["a of a0 b0 c0", "b of b0 a0 c0", "c of c0 a0 b0"]);
  const many = Array.from({ length: 100 }, (_, n) => subvolume(`m${n}`, { kept: [`k${n}`] }));
  const all = new Set(many.flatMap(({ parents }) => parents.map(({ identity }) => identity)));
  const plan = planSends(many, {
    stored: all,
    sent: [],
    refused: new Set(),
    whole: new Set<SentSubvolume>(),
  });
  assertEquals(plan.filter(({ parent, clones }) => parent && clones.length === 0).length, 100);
});

Deno.test("planSends() gives every subvolume its place once, whatever the families", () => {
  const subvolumes = Array.from(
    { length: 3000 },
    (_, n) => subvolume(`v${n}`, { family: `f${n % 7}`, madeIn: n * 7919 % 1000 }),
  );
  const plan = planSends(subvolumes, {
    stored: new Set(),
    sent: [],
    refused: new Set(),
    whole: new Set(),
  });
  const names = plan.map(({ subvolume }) => subvolume.path);
  assertEquals(names.toSorted(), subvolumes.map(({ path }) => path).toSorted());
  assertEquals(plan.filter(({ parent }) => parent === undefined).length, 7);
  assertEquals(Math.max(...plan.map(({ clones }) => clones.length)) <= 8, true);
});

Deno.test("firstBatch() ends where the name of a snapshot comes again", () => {
  const subvolumes = ["x/1", "x/2", "y/1", "y/3"].map((name) => ({
    ...subvolume(name),
    snapshot: { path: `/snapshots/${name}`, identity: name, states: [] },
  }));
  const plan = planSends(subvolumes, {
    stored: new Set(),
    sent: [],
    refused: new Set(),
    whole: new Set(),
  });
  assertEquals(firstBatch(plan).map(({ subvolume }) => subvolume.path), ["/x/1", "/x/2"]);
  assertEquals(firstBatch(plan.slice(1)).length, 3);
});

Deno.test("row 53: firstBatch() keeps the list of orders within what a storage host takes", () => {
  const plan = planSends(
    Array.from({ length: 3000 }, (_, n) => subvolume(`${n}${"\x01".repeat(680)}`)),
    { stored: new Set(), sent: [], refused: new Set(), whole: new Set<SentSubvolume>() },
  );
  let left: readonly PlannedSend[] = plan;
  let batches = 0;
  for (; left.length > 0; batches++) {
    const batch = firstBatch(left);
    const orders = batch.map(({ subvolume: { path, snapshot } }) => ({
      name: "n".repeat(255),
      path,
      identity: crypto.randomUUID(),
      parent: crypto.randomUUID(),
      copy: snapshot === undefined,
    }));
    const bytes = new TextEncoder().encode(JSON.stringify(orders)).length;
    assertEquals(batch.length > 0 && bytes < maximumOrders, true, `${bytes}`);
    left = left.slice(batch.length);
  }
  assertEquals(batches > 1 && batches < 4, true, `${batches}`);
});
