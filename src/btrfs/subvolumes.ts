import { PlasmaError } from "../errors.ts";
import { describeExit, type Output, run } from "../system/process.ts";
import { type RunId, runOwner } from "../system/run_id.ts";

/** The folder in the root of a subvolume that holds the snapshots of it. */
export const snapshotFolder = ".plasma";

/** A subvolume of a btrfs filesystem. */
export interface Subvolume {
  readonly id: number;
  /** Its path from the top of the filesystem, without a leading slash; "" is the top itself. */
  readonly path: string;
  /** Not to be relied on: names in the list of `btrfs` may look like rows of it. */
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

function btrfsError(what: string, { exit, messages }: Output): PlasmaError {
  const words = messages.lines.map((line) => line.replace(/^ERROR: /, "")).slice(-2).join(" / ");
  const why = words === "" ? `btrfs ${describeExit(exit)}` : words;
  return new PlasmaError("snapshot", `cannot ${what}: ${why}`, { code: "source" });
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
  return new TextDecoder().decode(output.stdout).replace(/\n$/, "");
}

/** Whether the subvolume at a path is read-only. */
export async function isReadOnly(path: string): Promise<boolean> {
  const text = await btrfs(`look at ${path}`, "property", "get", "-ts", path, "ro");
  return text.trim() === "ro=true";
}

/**
 * Make sure that the path of a subvolume can be used.
 *
 * @throws {PlasmaError} if it is not UTF-8
 */
export function requireUtf8({ id, path }: Subvolume): void {
  if (!path.includes("\ufffd")) return;
  throw new PlasmaError("snapshot", `the path of subvolume ${id} is not valid UTF-8: ${path}`, {
    code: "source",
    remedy: "rename it",
  });
}

/** What tells subvolumes apart on all machines. */
export interface SubvolumeIds {
  readonly uuid: string;
  /** The uuid of the subvolume that it was a snapshot of; undefined if of none. */
  readonly parentUuid: string | undefined;
  /** The uuid that it had where it was sent from; undefined if it was not received. */
  readonly receivedUuid: string | undefined;
  readonly readOnly: boolean;
  /** The transaction of its filesystem in which it was made: the later, the greater. */
  readonly madeIn: number;
  /** In how many transactions later than that one it was changed last. */
  readonly age: number;
}

/** The ids of the subvolume at a path. Throws if there is none. */
export async function readSubvolumeIds(path: string): Promise<SubvolumeIds> {
  const text = await btrfs(`read the ids of ${path}`, "subvolume", "show", path);
  const field = (name: string) => {
    const value = new RegExp(`^\\s+${name}:\\s*(\\S*)$`, "m").exec(text)?.[1];
    return value === undefined || value === "-" || value === "" ? undefined : value;
  };
  const uuid = field("UUID");
  if (uuid === undefined) {
    throw new PlasmaError("snapshot", `btrfs tells no uuid of ${path}`, { code: "source" });
  }
  const madeIn = Number(field("Gen at creation"));
  return {
    uuid,
    parentUuid: field("Parent UUID"),
    receivedUuid: field("Received UUID"),
    readOnly: /^\s+Flags:.*\breadonly\b/m.test(text),
    madeIn,
    age: Number(field("Generation")) - madeIn,
  };
}

/**
 * The uuid by which a subvolume is known where it was sent to: `btrfs send` hands on the uuid of the
 * origin, if the subvolume was received itself (fs/btrfs/send.c, send_subvol_begin).
 */
export function identityOf({ uuid, receivedUuid }: SubvolumeIds): string {
  return receivedUuid ?? uuid;
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

/** What follows the run id in the name of a snapshot that is kept as the parent of increments. */
export const sentSuffix = ".sent";

/** A snapshot that a run of plasma has made. */
export interface OwnSnapshot {
  readonly run: RunId;
  /** The path of the subvolume in whose root it lies; its own one is of the same form. */
  readonly of: string;
  /** Whether it is kept after the run, as the parent of increments. */
  readonly isKept: boolean;
}

/** Whether a subvolume is a snapshot of plasma in the root of another one, and whose. */
export function ownSnapshot(
  path: string,
  subvolumes: readonly Subvolume[],
): OwnSnapshot | undefined {
  const [, of = "", name] = /^(?:(.*)\/)?\.plasma\/([^/]+)$/s.exec(path) ?? [];
  if (name === undefined) return undefined;
  const isKept = name.endsWith(sentSuffix);
  const run = isKept ? name.slice(0, -sentSuffix.length) : name;
  if (runOwner(run) === undefined) return undefined;
  return subvolumes.some((subvolume) => subvolume.path === of) ? { run, of, isKept } : undefined;
}
