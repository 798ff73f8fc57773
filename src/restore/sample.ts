import { UsageError } from "../errors.ts";
import type { ListedArchive } from "../stores/mod.ts";

/**
 * A share of the archives: those that were not verified for the longest time, at least one.
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
  // Never verified ones have no time and come first; among them the oldest.
  const longestAgo = archives.toSorted((a, b) =>
    (a.verified ?? "").localeCompare(b.verified ?? "")
  );
  return longestAgo.slice(0, count);
}
