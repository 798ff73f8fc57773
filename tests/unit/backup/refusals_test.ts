import { assert, assertEquals } from "@std/assert";
import { Refusals } from "../../../src/backup/refusals.ts";
import { planSends } from "../../../src/backup/send_plan.ts";
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
function send(all: readonly SentSubvolume[], isRefused: (one: SentSubvolume) => boolean) {
  const stored = new Set(all.flatMap(({ parents }) => parents.map(({ identity }) => identity)));
  const refusals = new Refusals();
  const waiting = new Set(all);
  const whole = new Set<SentSubvolume>();
  let connections = 0;
  while (waiting.size > 0) {
    connections++;
    const held = { stored, sent: [], refused: refusals.parents, whole: refusals.whole };
    const plan = planSends([...waiting], held);
    const isMissing = plan.map(({ subvolume, parent }) =>
      parent !== undefined && isRefused(subvolume)
    );
    for (const [index, one] of plan.entries()) {
      if (isMissing[index]) continue;
      refusals.noteAccepted(one);
      waiting.delete(one.subvolume);
      if (one.parent === undefined) whole.add(one.subvolume);
    }
    const [next, ...following] = plan.filter((_, index) => isMissing[index]);
    if (next !== undefined) refusals.noteRefused(next, following);
  }
  return { connections, whole };
}

Deno.test("row 68: refusals of all increments cost a few connections, not one each", () => {
  const all = subvolumes(2000);
  const { connections, whole } = send(all, () => true);
  assertEquals(whole.size, 2000);
  assert(connections > 2 && connections <= 2 * Math.log2(2000) + 2, `${connections}`);
});

Deno.test("row 53: increments of one user that are refused make nobody else's whole", () => {
  const all = subvolumes(500);
  for (const step of [1, 3, 40]) {
    const isHis = ({ madeIn }: SentSubvolume) =>
      madeIn >= 100 && madeIn < 400 && madeIn % step === 0;
    const { connections, whole } = send(all, isHis);
    assertEquals([...whole].filter((one) => !isHis(one)), []);
    assert(connections <= 2 * Math.log2(300) + 3, `${connections}`);
  }
});

/** An older storage host takes nothing that comes after what it refuses. */
Deno.test("row 53: nor do they if what follows them has to be sent again", () => {
  const all = subvolumes(200);
  const stored = new Set(all.flatMap(({ parents }) => parents.map(({ identity }) => identity)));
  const isHis = ({ madeIn }: SentSubvolume) => madeIn % 20 === 0;
  const refusals = new Refusals();
  let waiting = all;
  const others = new Set<SentSubvolume>();
  for (let connection = 0; waiting.length > 0; connection++) {
    assert(connection < 50);
    const held = { stored, sent: [], refused: refusals.parents, whole: refusals.whole };
    const plan = planSends(waiting, held);
    const end = plan.findIndex(({ subvolume, parent }) => parent !== undefined && isHis(subvolume));
    const came = end < 0 ? plan : plan.slice(0, end);
    for (const one of came) {
      refusals.noteAccepted(one);
      if (one.parent === undefined && !isHis(one.subvolume)) others.add(one.subvolume);
    }
    waiting = waiting.filter((one) => !came.some(({ subvolume }) => subvolume === one));
    if (end >= 0) refusals.noteRefused(plan[end]!, plan.slice(end + 1));
  }
  assertEquals(others.size, 0);
});
