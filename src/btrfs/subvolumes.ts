import { PlasmaError } from "../errors.ts";
import { describeExit, type Output, run } from "../system/process.ts";

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

/** What tells subvolumes apart on all machines. */
export interface SubvolumeIds {
  /** Its number in its filesystem. */
  readonly id: number;
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
  const output = await run({ program: "btrfs", args: ["subvolume", "show", path] });
  const text = new TextDecoder().decode(output.stdout);
  // It fails at the list of its snapshots, the last thing, if any path on the filesystem is too long.
  if (output.exit.code !== 0 && !/^\s+Snapshot\(s\):$/m.test(text)) {
    throw btrfsError(`read the ids of ${path}`, output);
  }
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
    id: Number(field("Subvolume ID")),
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
