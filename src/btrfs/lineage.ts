import type { Subvolume } from "./filesystem.ts";

/**
 * Which snapshots an increment may build upon. `btrfs send -p` takes inodes of the same number and
 * generation for the same file; that holds only if the parent is an earlier state of the very
 * subvolume, or of that which it was made of until then. Two that were made of one origin and went on
 * by themselves number their new files alike: what would be sent of one upon the other is a mixture of
 * both. Pure.
 */

/** What a subvolume held at the end of a transaction. */
export interface State {
  /** The uuid of the subvolume. */
  readonly of: string;
  readonly at: number;
}

/**
 * The states that a subvolume has gone through: by the uuids of the subvolumes that had them, nearest
 * first, until which transaction each was on its line.
 */
export type Line = ReadonlyMap<string, number>;

export type ByUuid = ReadonlyMap<string, Subvolume>;

export function byUuidOf(subvolumes: readonly Subvolume[]): ByUuid {
  return new Map(subvolumes.flatMap((one) => one.uuid === undefined ? [] : [[one.uuid, one]]));
}

export function lineOf(subvolume: Subvolume, byUuid: ByUuid): Line {
  const line = new Map<string, number>();
  let until = Infinity;
  for (let one: Subvolume | undefined = subvolume; one?.uuid !== undefined;) {
    line.set(one.uuid, until);
    const { parentUuid, madeIn } = one;
    if (parentUuid === undefined || line.has(parentUuid)) break;
    until = Math.min(until, madeIn);
    // It may be gone.
    line.set(parentUuid, until);
    const parent = byUuid.get(parentUuid);
    if (parent === undefined) break;
    one = { ...parent, madeIn: Math.min(parent.madeIn, until) };
  }
  return line;
}

/**
 * What a snapshot of a subvolume holds: a state of it and, if that has never changed since it was made,
 * of those that it was made of.
 *
 * @param frozenIn the transaction in which the snapshot was taken
 * @param changedIn the last one in which what it holds was changed, if that is known
 */
export function statesOf(
  subvolume: Subvolume,
  frozenIn: number,
  changedIn: number | undefined,
  byUuid: ByUuid,
): State[] {
  const states: State[] = [];
  const at = changedIn ?? frozenIn;
  const seen = new Set<string>();
  for (let one: Subvolume | undefined = subvolume; one?.uuid !== undefined;) {
    states.push({ of: one.uuid, at });
    seen.add(one.uuid);
    const { parentUuid, madeIn } = one;
    if (parentUuid === undefined || at > madeIn || seen.has(parentUuid)) break;
    one = byUuid.get(parentUuid);
    if (one === undefined) states.push({ of: parentUuid, at });
  }
  return states;
}

/** Things by the states that they hold. */
export class StatePool<T> {
  readonly #byOrigin = new Map<string, { at: number; what: T }[]>();

  add(states: readonly State[], what: T): void {
    for (const { of, at } of states) {
      const known = this.#byOrigin.get(of);
      if (known === undefined) this.#byOrigin.set(of, [{ at, what }]);
      else known.push({ at, what });
    }
  }

  /** The one that is nearest on a line; undefined if none is on it. */
  nearestOn(line: Line): T | undefined {
    for (const [of, until] of line) {
      const known = this.#byOrigin.get(of)?.filter(({ at }) => at <= until) ?? [];
      if (known.length === 0) continue;
      return known.reduce((best, one) => one.at > best.at ? one : best).what;
    }
    return undefined;
  }
}
