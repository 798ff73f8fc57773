import { UsageError } from "../errors.ts";
import type { ListedArchive } from "../stores/mod.ts";

/**
 * A share of the archives: those that were not verified for the longest time, at least one. If there
 * is more than one, the newest is among them until it was verified: it is the one to be restored.
 *
 * @param text the share as "5%"
 * @throws {UsageError} if it is no share
 */
export function sampleOf(text: string, archives: readonly ListedArchive[]): ListedArchive[] {
  const percent = Number(/^(\d{1,3}(?:\.\d+)?)%$/.exec(text)?.[1] ?? NaN);
  if (!(percent > 0 && percent <= 100)) {
    throw new UsageError("command line", `--sample ${text} is not a share`, "say for example 5%");
  }
  const count = Math.ceil((archives.length * percent) / 100);
  const sample = archives.toSorted((a, b) => checkedAt(a) - checkedAt(b)).slice(0, count);
  const newest = archives.findLast(({ state }) => state !== "dated in the future");
  if (newest === undefined || newest.verified !== undefined || sample.includes(newest)) {
    return sample;
  }
  // With one place it waits for its turn: the next one may be stored before the next sample.
  return count > 1 ? [...sample.slice(0, -1), newest] : sample;
}

/** Local times and UTC are no farther apart than that. */
const zonesMs = 14 * 3_600_000;

/**
 * When somebody last knew that the archive is right, in milliseconds: when it was stored, if it was
 * never verified. If those that were never verified all came first, the new ones of every night would
 * keep the others waiting for ever.
 */
function checkedAt({ verified, state, time }: ListedArchive): number {
  if (verified !== undefined) return Date.parse(verified);
  return state === "dated in the future" ? 0 : Date.parse(`${time}Z`) - zonesMs;
}
