import { isNotFound, PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";

/**
 * Remove something in a folder of plasma, `.plasma/incoming` or `.plasma/trash`, with all that is in it.
 * Clients have made what is in it: links, files instead of folders, subvolumes within subvolumes, names
 * that are not UTF-8. Each thing is removed as what it is; no link is followed.
 *
 * @param path begins at the root; the two folders above it must be folders, and not links to such
 */
export async function removeSubvolumeFolder(path: string): Promise<void> {
  if (!isPresent(path)) return;
  const folder = path.slice(0, path.lastIndexOf("/"));
  requireFolders(folder);
  if (!isRemovedAtOnce(path)) await removeIn(folder, [path]);
}

/** What is empty needs no programs. */
function isRemovedAtOnce(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Remove many things in one folder, as {@link removeSubvolumeFolder} does, with a few programs for all.
 */
export async function removeEntries(folder: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  requireFolders(folder);
  await removeIn(folder, names.map((name) => `${folder}/${name}`));
}

async function removeIn(folder: string, paths: readonly string[]): Promise<void> {
  const { exit, messages } = await run(
    { program: "sh", args: ["-c", 'exec xargs -0 -- sh -c "$1" sh', "sh", script] },
    { input: paths.map((path) => `${path}\0`).join("") },
  );
  if (exit.code === 0) return;
  const what = paths.length === 1 ? paths[0] : `what was received in ${folder}`;
  throw new PlasmaError("storage", `cannot remove ${what}: ${messages.tail}`);
}

/**
 * The inode number 256 is that of the root of a subvolume; ours lie no deeper than two levels. A stream
 * can move a subvolume elsewhere, also into another one: then what is nested goes first, and of those in
 * which something is left all are made writable. It can also move one so deep that no path leads there
 * (PATH_MAX): such a one is brought near first, from within its folder. No name of ours begins with a dot.
 */
const script = `
remove() { rm -rf --one-file-system -- "$@"; }
delete_all() { find "$@" -type d -inum 256 -exec btrfs --quiet subvolume delete -- {} +; }
delete_all "$@" -maxdepth 2 && remove "$@" 2>/dev/null && exit
delete_all "$@" -depth && remove "$@" 2>/dev/null && exit
find "$@" -type d -inum 256 -execdir btrfs property set -f -ts {} ro false \\;
delete_all "$@" -depth && remove "$@" && exit
find "$@" -depth -type d -inum 256 -execdir mv -T -- {} "$1/.doomed" \\; \\
  -exec btrfs --quiet subvolume delete -- "$1/.doomed" \\;
remove "$@"`;

function isPresent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Make sure that a folder and the one above it are no links. */
function requireFolders(folder: string): void {
  for (const path of [folder, folder.slice(0, folder.lastIndexOf("/"))]) {
    if (Deno.lstatSync(path).isDirectory) continue;
    throw new PlasmaError("storage", `${path} is not a folder but something else`, {
      remedy: "remove it",
    });
  }
}
