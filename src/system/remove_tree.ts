import { isNotFound } from "../errors.ts";

/**
 * Remove a folder with all that is in it, as far as it is on the same filesystem: what a run that was
 * killed has left mounted there is nothing of ours. Links are removed and not followed.
 *
 * @returns false if something had to be left
 */
export function removeTree(path: string): boolean {
  try {
    const { dev, isDirectory } = Deno.lstatSync(path);
    if (isDirectory) empty(path, dev);
    Deno.removeSync(path);
    return true;
  } catch (error) {
    return isNotFound(error);
  }
}

function empty(folder: string, dev: number): void {
  for (const { name, isDirectory } of [...Deno.readDirSync(folder)]) {
    const path = `${folder}/${name}`;
    if (isDirectory) {
      if (Deno.lstatSync(path).dev !== dev) continue;
      empty(path, dev);
    }
    Deno.removeSync(path);
  }
}
