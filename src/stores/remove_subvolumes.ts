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
  const parent = path.slice(0, path.lastIndexOf("/"));
  requireFolder(parent);
  requireFolder(parent.slice(0, parent.lastIndexOf("/")));
  const { exit, messages } = await run({ program: "sh", args: ["-c", script, "sh", path] });
  if (exit.code === 0) return;
  throw new PlasmaError("storage", `cannot remove ${path}: ${messages.tail}`);
}

/**
 * The inode number 256 is that of the root of a subvolume; ours lie no deeper than two levels. A stream
 * can move a subvolume elsewhere, also into another one: then what is nested goes first, and for that all
 * are made writable.
 */
const script = `
remove() { rm -rf --one-file-system -- "$1"; }
find "$1" -maxdepth 2 -type d -inum 256 -prune -exec btrfs --quiet subvolume delete -- {} + &&
  remove "$1" 2>/dev/null && exit
find "$1" -type d -inum 256 -exec btrfs property set -f -ts {} ro false \\;
find "$1" -depth -type d -inum 256 -exec btrfs --quiet subvolume delete -- {} \\;
remove "$1"`;

function isPresent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

function requireFolder(path: string): void {
  if (Deno.lstatSync(path).isDirectory) return;
  throw new PlasmaError("storage", `${path} is not a folder but something else`, {
    remedy: "remove it",
  });
}
