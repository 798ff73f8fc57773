import { PlasmaError, UsageError } from "../errors.ts";
import { StorageFolder } from "../stores/folder.ts";
import { readHistory } from "../stores/history.ts";
import { appendToJournal } from "../stores/journal.ts";
import { surveyFolders } from "./survey.ts";
import { namesOf } from "./assess.ts";

/**
 * Note in the journal of a machine that the size of its newest archive is normal from now on.
 *
 * @param machine as `plasma status` shows it
 * @throws {UsageError} if there is none of that name, or it has no archive
 */
export async function acceptSize(
  machine: string,
  folders: readonly string[],
  now: Temporal.ZonedDateTime,
): Promise<void> {
  const found = await surveyFolders(folders, now);
  const names = namesOf(found.map(({ folder }) => folder));
  const one = found[names.indexOf(machine)];
  if (one === undefined) {
    throw new UsageError(
      "status",
      `there is no machine ${machine}`,
      `there are ${names.join(", ")}`,
    );
  }
  const newest = one.kind === "read"
    ? one.archives.findLast(({ state }) => state !== "dated in the future")
    : undefined;
  if (newest === undefined) {
    throw new UsageError("status", `${machine} has no archive that could be accepted`);
  }
  const { journal } = await StorageFolder.open(one.folder);
  appendToJournal(journal, [{ event: "accepted", archive: newest.name, bytes: newest.bytes }]);
  if (!readHistory(journal).accepted.has(newest.name)) {
    throw new PlasmaError("status", `cannot write to the journal of ${one.folder}`, {
      remedy: "run it as the login that stores there, after its first backup",
    });
  }
}
