import { parentOf } from "../system/paths.ts";
import { shorten } from "../system/printable.ts";

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
 * turns of its entries, the oldest first, so that each entry gets the same share of the room: so nobody
 * can push out others with what he makes in his own folder. Pure.
 */
export function beyondOf<T extends Candidate>(candidates: readonly T[], room: Room): T[] {
  if (isEnough(room, candidates)) return [];
  const [needed = [], others = []] = [true, false].map((isNeeded) =>
    candidates.filter((candidate) => candidate.isNeeded === isNeeded)
  );
  // Of the room that is scarcer for it.
  const shareOf = ({ bytes }: Candidate) => Math.max(1 / room.subvolumes, bytes / room.bytes);
  const inOrder = byTurns(
    others.toSorted((a, b) => a.id - b.id).map((candidate) => ({
      candidate,
      names: candidate.path.split("/", deepest),
      share: shareOf(candidate),
    })),
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

interface Item {
  readonly names: readonly string[];
  readonly share: number;
}

function byTurns<T extends Item>(items: readonly T[], depth: number): readonly T[] {
  if (items.length < 2 || depth === deepest) return items;
  const groups = [...Map.groupBy(items, ({ names }) => names[depth]).values()]
    .map((group) => byTurns(group, depth + 1));
  return groups.length === 1 ? groups[0]! : interleave(groups);
}

/** Next is always the group that has had the least so far. */
function interleave<T extends Item>(groups: readonly (readonly T[])[]): T[] {
  return groups.flatMap((group) => {
    let had = 0;
    return group.map((item) => {
      const before = had;
      had += item.share;
      return { item, before };
    });
  }).sort((a, b) => a.before - b.before).map(({ item }) => item);
}

/** How many of these paths lie in each folder, the most first, for people. */
export function countByFolder(paths: readonly string[]): string {
  const counts = [...Map.groupBy(paths, parentOf)]
    .map(([folder, own]) => ({ folder, count: own.length })).sort((a, b) => b.count - a.count);
  const words = counts.slice(0, mostFolders)
    .map(({ folder, count }) => `${count} in ${shorten(folder, longestFolder)}`);
  return [...words, ...(counts.length > mostFolders ? ["..."] : [])].join(", ");
}

const mostFolders = 5;
const longestFolder = 200;
