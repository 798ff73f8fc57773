import { isNotFound, PlasmaError, reasonOf } from "../errors.ts";
import { makePrivateFolder } from "../system/durable.ts";
import {
  btrfs,
  isReadOnly,
  mapConcurrently,
  snapshotFolder,
  subvolumeInode,
} from "./subvolumes.ts";

/** A read-only snapshot that this run has made. */
export interface Snapshot {
  /** The path of the root of the subvolume that it was taken of. */
  readonly source: string;
  readonly path: string;
}

/**
 * Take read-only snapshots of subvolumes, all at the same time as nearly as can be: the processes
 * run side by side, and the filesystem takes most of their snapshots in one transaction.
 *
 * @param roots the paths of the roots of the subvolumes
 * @param name the name of each snapshot, which begins with the run id
 * @throws {PlasmaError} if one of them fails; those that were taken are removed then
 */
export async function takeSnapshots(roots: readonly string[], name: string): Promise<Snapshot[]> {
  const taken: Snapshot[] = [];
  const results = await Promise.allSettled(roots.map(async (root) => {
    const path = `${root === "/" ? "" : root}/${snapshotFolder}/${name}`;
    await takeSnapshot(root, path, () => taken.push({ source: root, path }));
  }));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return taken;
  await deleteSnapshots(taken);
  throw failed.reason;
}

/** How often the snapshot folder is made anew when a run that ends has just removed it. */
const folderTries = 5;

async function takeSnapshot(root: string, path: string, onTaken: () => void): Promise<void> {
  const folder = path.slice(0, path.lastIndexOf("/"));
  for (let attempt = 1;; attempt++) {
    prepareFolder(root, folder);
    // btrfs puts the snapshot *into* a folder that exists at the path, and says that all is well.
    if (inodeOf(path) !== undefined) {
      throw new PlasmaError("snapshot", `${path} exists already`, { remedy: "remove it" });
    }
    try {
      await btrfs(`snapshot ${root}`, "subvolume", "snapshot", "-r", "--", root, path);
      break;
    } catch (error) {
      const isFolderGone = inodeOf(folder) === undefined;
      // A signal may end btrfs when it has just made the snapshot.
      if (await isFrozen(path)) onTaken();
      else removeFolderIfEmpty(folder);
      if (attempt === folderTries || !isFolderGone) throw error;
    }
  }
  if (!await isFrozen(path)) {
    throw new PlasmaError("snapshot", `btrfs made no snapshot at ${path}`, { code: "source" });
  }
  onTaken();
}

/** Whether a read-only subvolume is at a path; if that cannot be found out it is taken for one. */
async function isFrozen(path: string): Promise<boolean> {
  return inodeOf(path) === subvolumeInode && await isReadOnly(path).catch(() => true);
}

function prepareFolder(root: string, folder: string): void {
  try {
    makePrivateFolder(folder);
  } catch (error) {
    throw new PlasmaError("snapshot", `cannot make ${folder}: ${reasonOf(error)}`, {
      code: "source",
      remedy: `the subvolume ${root} must be writable, with some space left`,
    });
  }
}

/** Undefined if nothing is there. */
function inodeOf(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).ino ?? 0;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Delete snapshots, and the folders that held them when these are empty.
 *
 * @returns for each that could not be deleted a line with the command to do it by hand
 */
export async function deleteSnapshots(snapshots: readonly { path: string }[]): Promise<string[]> {
  const problems = await mapConcurrently(snapshots, async ({ path }) => {
    try {
      // btrfs would follow a link to a subvolume of somebody else.
      if (inodeOf(path) !== subvolumeInode) throw new Error(`${path} is not a subvolume any more`);
      await btrfs(`delete the snapshot ${path}`, "subvolume", "delete", "--", path);
      removeFolderIfEmpty(path.slice(0, path.lastIndexOf("/")));
      return [];
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return [`snapshot: ${reason}; delete it by hand: btrfs subvolume delete '${quote(path)}'`];
    }
  });
  return problems.flat();
}

function removeFolderIfEmpty(folder: string): void {
  try {
    Deno.removeSync(folder);
  } catch {
    // Other snapshots lie in it.
  }
}

const quote = (path: string) => path.replaceAll("'", "'\\''");
