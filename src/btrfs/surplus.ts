/** A subvolume that would be archived. */
interface Candidate {
  readonly path: string;
  readonly id: number;
  /** Whether it is archived in any case. */
  readonly isNeeded: boolean;
}

/** Folders below this depth share what falls to the one that holds them. */
const deepest = 32;

/**
 * The candidates that are too many. In each folder, from the top on, those in it are chosen by turns
 * of its entries, the oldest first: so nobody can push out others with what he makes in his own folder.
 * Pure.
 */
export function beyondOf<T extends Candidate>(candidates: readonly T[], maximum: number): T[] {
  if (candidates.length <= maximum) return [];
  const needed = candidates.filter(({ isNeeded }) => isNeeded);
  const others = candidates.filter(({ isNeeded }) => !isNeeded).toSorted((a, b) => a.id - b.id)
    .map((candidate) => ({ candidate, names: candidate.path.split("/", deepest) }));
  return byTurns(others, 0).slice(Math.max(maximum - needed.length, 0))
    .map(({ candidate }) => candidate);
}

function byTurns<T extends { readonly names: readonly string[] }>(
  items: readonly T[],
  depth: number,
): readonly T[] {
  if (items.length < 2 || depth === deepest) return items;
  const groups = [...Map.groupBy(items, ({ names }) => names[depth]).values()]
    .map((group) => byTurns(group, depth + 1));
  return groups.length === 1 ? groups[0]! : interleave(groups);
}

function interleave<T>(groups: readonly (readonly T[])[]): T[] {
  const mixed: T[] = [];
  let left = groups;
  for (let turn = 0; left.length > 0; turn++) {
    left = left.filter((group) => turn < group.length);
    for (const group of left) mixed.push(group[turn]!);
  }
  return mixed;
}
