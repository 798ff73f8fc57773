import { assert, assertEquals } from "@std/assert";
import { Refusals } from "../../../src/backup/refusals.ts";
import { type PlannedSend, planSends } from "../../../src/backup/send_plan.ts";
import type { SentSubvolume } from "../../../src/strategies/mod.ts";

const snapshot = (identity: string) => ({ path: `/snapshots/${identity}`, identity, states: [] });

const subvolumes = (count: number): SentSubvolume[] =>
  Array.from({ length: count }, (_, index) => ({
    path: `/home/${index}`,
    snapshot: snapshot(`new ${index}`),
    parents: [snapshot(`newer ${index}`), snapshot(`old ${index}`)],
    family: `${index}`,
    madeIn: index,
    line: new Map(),
    isNeeded: false,
  }));

/** Send to a store that refuses the increments of some; what that costs. */
function send(
  all: readonly SentSubvolume[],
  { isRefused, isCut }: { isRefused(one: SentSubvolume): boolean; isCut: boolean },
) {
  const stored = new Set(all.flatMap(({ parents }) => parents.map(({ identity }) => identity)));
  const refusals = new Refusals();
  const waiting = new Set(all);
  const whole = new Set<SentSubvolume>();
  let connections = 0;
  while (waiting.size > 0) {
    connections++;
    const held = { stored, sent: [], refused: refusals.parents, whole: refusals.whole };
    const plan = planSends([...waiting], held);
    const isWrong = ({ subvolume, parent }: PlannedSend) =>
      parent !== undefined && isRefused(subvolume);
    const first = plan.findIndex(isWrong);
    const end = isCut && first >= 0 ? first : plan.length;
    const left = plan.filter((one, index) => index >= end || isWrong(one));
    for (const one of plan.filter((one) => !left.includes(one))) {
      refusals.noteAccepted(one);
      waiting.delete(one.subvolume);
      if (one.parent === undefined) whole.add(one.subvolume);
    }
    if (isCut && left.length > 0) refusals.noteRefused(left.slice(0, 1), left.slice(1));
    else if (left.length > 0) refusals.noteRefused(left, []);
  }
  return { connections, whole };
}

Deno.test("row 68: refusals of all increments cost a few connections, not one each", () => {
  const all = subvolumes(2000);
  const { connections, whole } = send(all, { isRefused: () => true, isCut: true });
  assertEquals(whole.size, 2000);
  assert(connections > 2 && connections <= 2 * Math.log2(2000) + 2, `${connections}`);
});

Deno.test("row 53: increments that are refused one by one cost nobody else anything", () => {
  const all = subvolumes(500);
  for (const step of [1, 3, 40]) {
    const isRefused = ({ madeIn }: SentSubvolume) =>
      madeIn >= 100 && madeIn < 400 && madeIn % step === 0;
    const { connections, whole } = send(all, { isRefused, isCut: false });
    assertEquals([...whole], all.filter(isRefused));
    // By two parents, and as a whole.
    assertEquals(connections, 3);
  }
});

Deno.test("row 53: refusals that end the stream have few others sent as a whole", () => {
  const all = subvolumes(500);
  const apart = ({ madeIn }: SentSubvolume) => madeIn % 20 === 0;
  const some = send(all, { isRefused: apart, isCut: true });
  assertEquals([...some.whole], all.filter(apart));
  const side = ({ madeIn }: SentSubvolume) => madeIn >= 100 && madeIn < 200;
  const { connections, whole } = send(all, { isRefused: side, isCut: true });
  assert([...whole].filter((one) => !side(one)).length < 100);
  assert(connections <= 2 * Math.log2(100) + 3, `${connections}`);
});
