/** A subvolume that would be archived. */
interface Candidate {
  readonly path: string;
  readonly id: number;
  /** What it takes of the archive's manifest. */
  readonly bytes: number;
  /** Whether it is archived in any case. */
  readonly isNeeded: boolean;
}

/** What an archive can hold: so many subvolumes, and so many bytes about them in its manifest. */
export interface Room {
  readonly subvolumes: number;
  readonly bytes: number;
}

/** Folders below this depth share what falls to the one that holds them. */
const deepest = 32;

/**
 * The candidates that there is no room for. In each folder, from the top on, those in it are chosen by
 * turns of its entries, the oldest first: so nobody can push out others with what he makes in his own
 * folder. Pure.
 */
export function beyondOf<T extends Candidate>(candidates: readonly T[], room: Room): T[] {
  if (isEnough(room, candidates)) return [];
  const [needed = [], others = []] = [true, false].map((isNeeded) =>
    candidates.filter((candidate) => candidate.isNeeded === isNeeded)
  );
  const inOrder = byTurns(
    others.toSorted((a, b) => a.id - b.id)
      .map((candidate) => ({ candidate, names: candidate.path.split("/", deepest) })),
    0,
  );
  let subvolumes = room.subvolumes - needed.length;
  let bytes = room.bytes - bytesOf(needed);
  return inOrder.map(({ candidate }) => candidate).filter((candidate) => {
    const isBeyond = subvolumes < 1 || bytes < candidate.bytes;
    if (isBeyond) return true;
    subvolumes--;
    bytes -= candidate.bytes;
    return false;
  });
}

const bytesOf = (candidates: readonly Candidate[]) =>
  candidates.reduce((sum, { bytes }) => sum + bytes, 0);

const isEnough = ({ subvolumes, bytes }: Room, candidates: readonly Candidate[]) =>
  candidates.length <= subvolumes && bytesOf(candidates) <= bytes;

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
