import { UsageError } from "../errors.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";
import type { ListedArchive, Listing } from "../stores/mod.ts";

/**
 * Given "latest", the name of an archive or the beginning of one, return the archive that is meant.
 * The latest one is the newest that is not dated in the future.
 *
 * @throws {UsageError} if there is none, or more than one
 */
export function chooseArchive(word: string, { archives }: Listing, store: string): ListedArchive {
  if (word === "latest") {
    const latest = archives.findLast(({ state }) => state !== "dated in the future") ??
      archives.at(-1);
    if (latest !== undefined) return latest;
    throw new UsageError("restore", `there are no archives in ${store}`);
  }
  const exact = archives.find(({ name }) => name === word);
  const found = exact === undefined
    ? archives.filter(({ name }) => name.startsWith(word))
    : [exact];
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  if (first === undefined) {
    throw new UsageError(
      "restore",
      `there is no archive ${JSON.stringify(word)} in ${store}`,
      parseArchiveName(word) === undefined
        ? "say latest, or a name that plasma list shows"
        : "see plasma list",
    );
  }
  const names = found.slice(0, 5).map(({ name }) => name).join(", ");
  throw new UsageError(
    "restore",
    `${JSON.stringify(word)} could be any of ${found.length} archives: ${names}`,
    "give more of the name",
  );
}
