import { type ArchiveName, compareArchives, type Label, type Stamp } from "./archive_name.ts";
import { periods } from "./period.ts";
import type { Policy } from "./policy.ts";

/** What becomes of one archive, and why. */
export interface Decision {
  readonly archive: ArchiveName;
  readonly keep: boolean;
  /** For people: "daily 2 of 5", "first daily of 2026-11-20, 3 of 5 days", "more than 5 daily". */
  readonly reason: string;
  /** True if the archive is dated in the future: a clock is or was wrong. */
  readonly future: boolean;
}

/** The two points in time that a plan depends on, in the storage host's local time. */
export interface PlanTimes {
  readonly now: Stamp;
  /** Archives at or after this time are young enough to be kept in any case. */
  readonly keepSince: Stamp;
}

/**
 * Decide for each archive whether it is kept, oldest first.
 *
 * Where the policy says N for a label, of its archives the newest N are kept, and the first one of
 * each of the newest N periods (days for daily, ISO weeks for weekly ...) in which there are any.
 * So the first archive of a day lasts for N days however many others are added: only time pushes it
 * out. Whatever the policy, these are kept: the newest archive of all, archives within
 * `keepWithin`, archives whose label the policy does not name, and archives dated in the future.
 * The latter do not count either, so that a wrong clock never pushes out a good archive.
 *
 * @param isNeeded whether something else depends on an archive
 */
export function planRotation(
  archives: Iterable<ArchiveName>,
  policy: Policy,
  { now, keepSince }: PlanTimes,
  isNeeded: (archive: ArchiveName) => boolean = () => false,
): Decision[] {
  const oldestFirst = [...archives].sort(compareArchives);
  const newest = oldestFirst.findLast(({ stamp }) => stamp <= now);
  const firsts = firstsOfPeriods(oldestFirst);
  const archivesSeen = new Counter();
  const periodsSeen = new Counter();

  const decide = (archive: ArchiveName): Decision => {
    const { label, stamp } = archive;
    const kept = (reason: string, future = false) => ({ archive, keep: true, reason, future });
    if (stamp > now) return kept("dated in the future, not counted", true);
    const limit = policy.counts[label];
    if (limit === undefined) return kept(`the policy does not name ${label}`);
    const position = archivesSeen.next(label);
    // From the newest on, the first archive of a period is the last one of it that is met.
    const period = firsts.has(archive) ? periodsSeen.next(label) : undefined;
    if (position <= limit) return kept(`${label} ${position} of ${limit}`);
    if (archive === newest) return kept("the newest archive is never deleted");
    if (isNeeded(archive)) return kept("the next increment of its agent builds on it");
    if (policy.keepWithinSeconds > 0 && stamp >= keepSince) return kept("within keepWithin");
    if (period !== undefined && period <= limit) {
      const { nameOf, plural } = periods[label];
      return kept(`first ${label} of ${nameOf(stamp)}, ${period} of ${limit} ${plural}`);
    }
    return { archive, keep: false, reason: `more than ${limit} ${label}`, future: false };
  };
  return oldestFirst.toReversed().map(decide).reverse();
}

/** Of each label the archives that are the first ones of their periods. */
function firstsOfPeriods(oldestFirst: readonly ArchiveName[]): ReadonlySet<ArchiveName> {
  const lastKeys = new Map<Label, string | number>();
  return new Set(oldestFirst.filter(({ label, stamp }) => {
    const key = periods[label].keyOf(stamp);
    if (lastKeys.get(label) === key) return false;
    lastKeys.set(label, key);
    return true;
  }));
}

/** Counts from 1, for each label on its own. */
class Counter {
  readonly #counts = new Map<Label, number>();

  next(label: Label): number {
    const count = (this.#counts.get(label) ?? 0) + 1;
    this.#counts.set(label, count);
    return count;
  }
}
