import { type ArchiveName, compareArchives, type Label, type Stamp } from "./archive_name.ts";
import type { Policy } from "./policy.ts";

/** What becomes of one archive, and why. */
export interface Decision {
  readonly archive: ArchiveName;
  readonly keep: boolean;
  /** For people, for example "daily 2 of 5" or "more than 5 daily". */
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
 * For each label on its own the newest N are kept, as the policy says. Whatever the policy, these
 * are kept: the newest archive of all, archives within `keepWithin`, archives whose label the
 * policy does not name, and archives dated in the future. The latter do not count either, so that a
 * wrong clock never pushes out a good archive.
 *
 * @param isNeeded whether something else depends on an archive
 */
export function planRotation(
  archives: Iterable<ArchiveName>,
  policy: Policy,
  { now, keepSince }: PlanTimes,
  isNeeded: (archive: ArchiveName) => boolean = () => false,
): Decision[] {
  const newestFirst = [...archives].sort((a, b) => compareArchives(b, a));
  const newest = newestFirst.find((archive) => archive.stamp <= now);
  const counted = new Map<Label, number>();

  const decide = (archive: ArchiveName): Decision => {
    const { label, stamp } = archive;
    const kept = (reason: string, future = false) => ({ archive, keep: true, reason, future });
    if (stamp > now) return kept("dated in the future, not counted", true);
    const limit = policy.counts[label];
    if (limit === undefined) return kept(`the policy does not name ${label}`);
    const position = (counted.get(label) ?? 0) + 1;
    counted.set(label, position);
    if (position <= limit) return kept(`${label} ${position} of ${limit}`);
    if (archive === newest) return kept("the newest archive is never deleted");
    if (isNeeded(archive)) return kept("the next increment of its agent builds on it");
    if (policy.keepWithinSeconds > 0 && stamp >= keepSince) return kept("within keepWithin");
    return { archive, keep: false, reason: `more than ${limit} ${label}`, future: false };
  };
  return newestFirst.map(decide).reverse();
}
