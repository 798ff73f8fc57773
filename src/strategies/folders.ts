import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { probeSeconds, readHiddenMounts, withinSeconds } from "../system/mounts.ts";
import { isWithin } from "../system/paths.ts";
import type { Place } from "./mod.ts";

/** The configured folders without doubles, and without those that lie in another one of them. */
export function distinctFolders(folders: readonly string[]): string[] {
  const unique = [...new Set(folders)];
  return unique.filter((folder) =>
    !unique.some((other) => other !== folder && isWithin(folder, other))
  );
}

/**
 * Make sure that all folders are there before any of them is read.
 *
 * @returns notices about folders that are not what they may seem
 * @throws {PlasmaError} that names each folder which is missing
 */
export async function checkFolders(folders: readonly string[]): Promise<string[]> {
  const notices: string[] = [];
  const faults: string[] = [];
  for (const folder of folders) {
    try {
      const found = await withinSeconds(Deno.lstat(folder), probeSeconds, undefined);
      if (found === undefined) {
        faults.push(`${folder} does not answer (is the server or program behind its mount gone?)`);
        continue;
      }
      if (!found.isSymlink) continue;
      const target = await Deno.readLink(folder);
      notices.push(`${folder} is a symbolic link to ${target}: only the link itself is archived`);
    } catch (error) {
      const reason = errorCode(error) === "ENOENT" ? "does not exist" : reasonOf(error);
      faults.push(`${folder} ${reason}`);
    }
  }
  const hidden = faults.length === 0 ? await readHiddenMounts(folders) : [];
  notices.push(
    ...hidden.map(({ path, type }) =>
      `a filesystem (${type}) at ${path} is not archived: another one is mounted over it`
    ),
  );
  if (faults.length === 0) return notices;
  throw new PlasmaError("source", `configured to be archived, but ${faults.join(", ")}`, {
    remedy: 'mend that, or take it out of "folders"',
    code: "source",
  });
}

/** One line about a place that is left out because something is wrong with it. */
export const describeProblem = ({ path, reason }: Place) =>
  `source: ${path} is left out: ${reason}`;
