import { isNotFound } from "../errors.ts";

/**
 * Remove a folder with all that is in it, but nothing that is mounted there: that is nothing of ours.
 * Links are removed and not followed.
 *
 * @returns false if something had to be left
 */
export function removeTree(path: string): boolean {
  try {
    if (Deno.lstatSync(path).isDirectory) empty(path);
    Deno.removeSync(path);
    return true;
  } catch (error) {
    return isNotFound(error);
  }
}

function empty(folder: string): void {
  for (const { name, isDirectory } of [...Deno.readDirSync(folder)]) {
    const path = `${folder}/${name}`;
    if (!isDirectory) {
      Deno.removeSync(path);
      continue;
    }
    // A folder at which something is mounted cannot be renamed (EBUSY), be it of the same filesystem.
    const doomed = `${folder}/${crypto.randomUUID()}`;
    try {
      Deno.renameSync(path, doomed);
    } catch {
      continue;
    }
    empty(doomed);
    Deno.removeSync(doomed);
  }
}
