import { PlasmaError } from "../errors.ts";
import { type Output, run } from "../system/process.ts";
import { runOwner } from "../system/run_id.ts";

/** The folder in the root of a subvolume that holds the snapshots of it. */
export const snapshotFolder = ".plasma";

/** A subvolume of a btrfs filesystem. */
export interface Subvolume {
  readonly id: number;
  /** Its path from the top of the filesystem, without a leading slash; "" is the top itself. */
  readonly path: string;
  readonly readOnly: boolean;
}

/** The id of the subvolume at the top of each btrfs filesystem (BTRFS_FS_TREE_OBJECTID). */
const topId = 5;

/** How many btrfs processes run at once. */
export const btrfsConcurrency = 8;

/** The inode number of the root of every subvolume (BTRFS_FIRST_FREE_OBJECTID). */
export const subvolumeInode = 256;

/** Run `btrfs`; throws with its own words if it fails. */
export async function btrfs(what: string, ...args: string[]): Promise<string> {
  const output = await run({ program: "btrfs", args });
  if (output.exit.code !== 0) throw btrfsError(what, output);
  return new TextDecoder().decode(output.stdout);
}

function btrfsError(what: string, { messages }: Output): PlasmaError {
  const words = messages.lines.map((line) => line.replace(/^ERROR: /, "")).slice(-2).join(" / ");
  return new PlasmaError("snapshot", `cannot ${what}: ${words}`, { code: "source" });
}

/**
 * All subvolumes of the filesystem that holds a folder, its top included.
 *
 * The paths that `btrfs subvolume list` prints are relative to different folders in different
 * cases, and names may contain newlines that look like further rows: so only ids are taken from it,
 * and each is resolved by itself.
 *
 * @throws {PlasmaError} if the list cannot be made
 */
export async function listSubvolumes(folder: string): Promise<Subvolume[]> {
  const ids = idsIn(await btrfs(`list the subvolumes of ${folder}`, "subvolume", "list", folder));
  const readOnly = new Set(
    idsIn(await btrfs(`list the subvolumes of ${folder}`, "subvolume", "list", "-r", folder)),
  );
  const found = await mapConcurrently(ids, async (id) => {
    const path = await resolveId(id, folder);
    return path === undefined ? [] : [{ id, path, readOnly: readOnly.has(id) }];
  });
  return [{ id: topId, path: "", readOnly: false }, ...found.flat()];
}

function idsIn(list: string): number[] {
  return [...list.matchAll(/^ID (\d+) gen \d+ top level \d+ path /gm)].map(([, id]) => Number(id));
}

/** Undefined if there is no such subvolume (any more). */
async function resolveId(id: number, folder: string): Promise<string | undefined> {
  const output = await run({
    program: "btrfs",
    args: ["inspect-internal", "subvolid-resolve", String(id), folder],
  });
  if (output.exit.code !== 0) {
    if (/failed to lookup|error -2\b|No such file/.test(output.messages.tail)) return undefined;
    throw btrfsError(`find subvolume ${id} of ${folder}`, output);
  }
  const path = new TextDecoder().decode(output.stdout).replace(/\n$/, "");
  if (!path.includes("\ufffd")) return path;
  throw new PlasmaError("snapshot", `the path of subvolume ${id} is not valid UTF-8: ${path}`, {
    code: "source",
    remedy: "rename it",
  });
}

/** Apply a function to all items, some at once, and keep the order. Rejects with the first error. */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  apply: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const work = async () => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await apply(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(btrfsConcurrency, items.length) }, work));
  return results;
}

/** The run that made a subvolume, if it is a snapshot of plasma in the root of another one. */
export function snapshotRun(path: string, subvolumes: readonly Subvolume[]): string | undefined {
  const [, parent, name] = /^(?:(.*)\/)?\.plasma\/([^/]+)$/s.exec(path) ?? [];
  if (name === undefined || runOwner(name) === undefined) return undefined;
  return subvolumes.some((subvolume) => subvolume.path === (parent ?? "")) ? name : undefined;
}
