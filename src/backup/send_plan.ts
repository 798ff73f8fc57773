import { StatePool } from "../btrfs/lineage.ts";
import { bytesInJson } from "../system/paths.ts";
import type { SentSnapshot, SentSubvolume } from "../strategies/mod.ts";

/** How a subvolume is to be sent. */
export interface PlannedSend {
  readonly subvolume: SentSubvolume;
  /** The store has this very snapshot: it copies it. */
  readonly copy: boolean;
  /** The snapshot that the stream builds upon; without one all is sent. */
  readonly parent: SentSnapshot | undefined;
  /** Further snapshots that the store has; what they share is not sent. Only with a parent. */
  readonly clones: readonly SentSnapshot[];
}

/** What the store has, or will have when a subvolume's turn comes. */
export interface Held {
  /** The identities that the store had before the run. */
  readonly stored: ReadonlySet<string>;
  /** What was sent in this run already. */
  readonly sent: readonly SentSubvolume[];
  /** Identities that must not be built upon: the store refused what did. */
  readonly refused: ReadonlySet<string>;
  /** What is not to be built upon anything; if the store has it as it is, it is copied all the same. */
  readonly whole: ReadonlySet<SentSubvolume>;
}

/** `btrfs send` gets slower with each clone source; those that are nearest share most. */
const mostClones = 8;

/**
 * Plan how subvolumes are sent, one after the other: those that are related follow each other in the
 * order in which they were frozen, so that each can build upon the one before it.
 *
 * Each builds upon the newest kept snapshot of itself that the store has; else upon the last of its
 * earlier states that a relative holds which goes before it, or which the store has.
 */
export function planSends(
  subvolumes: readonly SentSubvolume[],
  { stored, sent, refused, whole }: Held,
): PlannedSend[] {
  const isHeld = ({ identity }: SentSnapshot) => stored.has(identity) && !refused.has(identity);
  const newestHeld = ({ snapshot, parents }: SentSubvolume) =>
    [snapshot, ...parents].find(isHeld) ?? [];
  const all = [...sent, ...subvolumes];
  const families = groupByFamily(all);
  const waiting = new Set(subvolumes);
  // Files may be cloned between subvolumes that are not related, too; of many that costs too much.
  const common = all.length > mostClones ? [] : all.flatMap(newestHeld);
  const plan: PlannedSend[] = [];
  for (const family of families) {
    const kept = family.flatMap(newestHeld);
    const pool = new StatePool<SentSnapshot>();
    for (const snapshot of kept) pool.add(snapshot.states, snapshot);
    for (const [index, subvolume] of family.entries()) {
      const { snapshot, parents, line } = subvolume;
      // As soon as it is stored others can build upon it.
      const nearest = pool.nearestOn(line);
      if (!refused.has(snapshot.identity)) pool.add(snapshot.states, snapshot);
      if (!waiting.has(subvolume)) continue;
      waiting.delete(subvolume);
      const around = family.slice(Math.max(0, index - mostClones), index + mostClones)
        .filter((one) => one !== subvolume && !waiting.has(one));
      const near = nearestFirst(around, subvolume).map(({ snapshot }) => snapshot)
        .filter(({ identity }) => !refused.has(identity));
      const parent = whole.has(subvolume) ? undefined : parents.find(isHeld) ?? nearest;
      const others = [...near, ...kept.slice(0, mostClones), ...common];
      const copy = isHeld(snapshot);
      plan.push(
        copy || parent === undefined
          ? { subvolume, copy, parent: undefined, clones: [] }
          : { subvolume, copy, parent, clones: distinct(others, parent).slice(0, mostClones) },
      );
    }
  }
  return plan;
}

/** The families in the order of their first members, and in each the earliest first. */
function groupByFamily(subvolumes: readonly SentSubvolume[]): SentSubvolume[][] {
  const families = Map.groupBy(subvolumes, ({ family }) => family);
  return [...families.values()].map((family) => family.sort((a, b) => a.madeIn - b.madeIn));
}

function nearestFirst(
  candidates: readonly SentSubvolume[],
  { madeIn }: SentSubvolume,
): SentSubvolume[] {
  const distance = (one: SentSubvolume) => Math.abs(one.madeIn - madeIn);
  return candidates.toSorted((a, b) => distance(a) - distance(b));
}

function distinct(snapshots: readonly SentSnapshot[], parent: SentSnapshot): SentSnapshot[] {
  const found = new Map(snapshots.map((snapshot) => [snapshot.identity, snapshot]));
  found.delete(parent.identity);
  return [...found.values()];
}

/** Less than a storage host takes for a list of orders, see protocol.ts. */
const mostBytes = 8 << 20;
/** What an order takes beside its path. */
const otherBytes = 800;

/**
 * As much of a plan as can go in one go: where it arrives a subvolume first has the name of its snapshot,
 * so each name can come only once; and the list has a limit.
 */
export function firstBatch(plan: readonly PlannedSend[]): readonly PlannedSend[] {
  const names = new Set<string>();
  let bytes = 0;
  const end = plan.findIndex(({ subvolume: { path, snapshot }, copy }, index) => {
    const name = snapshot.path.slice(snapshot.path.lastIndexOf("/") + 1);
    bytes += bytesInJson(path) + otherBytes;
    if (index > 0 && bytes > mostBytes || !copy && names.has(name)) return true;
    names.add(name);
    return false;
  });
  return end < 0 ? plan : plan.slice(0, end);
}
