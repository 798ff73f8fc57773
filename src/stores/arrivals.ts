import { findListed } from "../btrfs/list.ts";
import { readSubvolumeIds, type SubvolumeIds, subvolumeInode } from "../btrfs/subvolumes.ts";
import { errorCode } from "../errors.ts";
import type { RunId } from "../system/run_id.ts";
import type { StorageFolder } from "./folder.ts";
import type { ReceiveOrder } from "./mod.ts";

type Expected = Pick<ReceiveOrder, "identity" | "parent">;

/** What has come, by identity: the name under which it lies there. */
export interface Arrivals {
  readonly names: ReadonlyMap<string, string>;
  /** Why something that was ordered is not among them, if it is there at all. */
  readonly problem: string | undefined;
}

/**
 * Look at what a stream has brought. A subvolume is complete if it has the received uuid, which
 * `btrfs receive` gives to it at the end of its stream, and is read-only.
 *
 * @param arriving the folder, `.plasma/incoming/<run id>.btrfs/in`
 */
export async function arrivedSubvolumes(
  storage: StorageFolder,
  id: RunId,
  arriving: string,
  orders: readonly Expected[],
): Promise<Arrivals> {
  const present = new Set<string>();
  for (const { name } of Deno.readDirSync(arriving)) {
    if (isOneLine(name) && isSubvolume(`${arriving}/${name}`)) present.add(name);
  }
  if (present.size === 0) return { names: new Map(), problem: undefined };
  const of = `/${id}.btrfs/in`;
  const listed = await findListed(storage.path, { of, names: present });
  const ordered = new Map(orders.map((order) => [order.identity, order]));
  const names = new Map<string, string>();
  let problem: string | undefined;
  for (const name of present) {
    const path = `${arriving}/${name}`;
    const ids = listed.get(name) ?? await readSubvolumeIds(path);
    const order = ids.receivedUuid === undefined ? undefined : ordered.get(ids.receivedUuid);
    if (order === undefined) {
      if (ids.receivedUuid !== undefined) problem ??= "what was received is not what was announced";
      continue;
    }
    const why = problemOf(path, ids, order);
    if (why === undefined) names.set(order.identity, name);
    else problem ??= `what was received ${why}`;
  }
  return { names, problem };
}

type Ids = Pick<SubvolumeIds, "parentUuid" | "receivedUuid">;

function problemOf(path: string, { parentUuid }: Ids, { parent }: Expected) {
  if (!isReadOnly(path)) return "is not read-only: the stream was not complete";
  if (parent === undefined) return undefined;
  if (parentUuid === undefined) return "was not made of the parent that was announced";
  const left = [...Deno.readDirSync(path)].find(({ name }) => isSendsOwn(name));
  if (left !== undefined) {
    return `has ${left.name}, which an increment may leave of a deleted folder`;
  }
  return undefined;
}

/**
 * Names that `btrfs send` gives at the root to what is on its way (gen_unique_name in fs/btrfs/send.c).
 * Of a folder that held a subvolume, both being gone, the kernel may forget to send the end: what came
 * before (can_rmdir) looks at the number of the subvolume as if it were that of an inode.
 */
const isSendsOwn = (name: string) => /^o\d+-\d+-\d+$/.test(name);

/** Names that have a row to themselves in the list of `btrfs`; those that agents give have. */
// deno-lint-ignore no-control-regex
const isOneLine = (name: string) => !/[\x00-\x1f\x7f\ufffd]/.test(name);

function isSubvolume(path: string): boolean {
  const { isDirectory, ino } = Deno.lstatSync(path);
  return isDirectory && ino === subvolumeInode;
}

/** Ask the kernel; the mode stays what it is. Nobody else can change what lies in that folder. */
function isReadOnly(path: string): boolean {
  const { mode } = Deno.lstatSync(path);
  try {
    Deno.chmodSync(path, (mode ?? 0) & 0o7777);
    return false;
  } catch (error) {
    if (errorCode(error) === "EROFS" || /read-only file system/i.test(String(error))) return true;
    throw error;
  }
}
