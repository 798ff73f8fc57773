import { findListed } from "../btrfs/list.ts";
import { readSubvolumeIds, type SubvolumeIds, subvolumeInode } from "../btrfs/subvolumes.ts";
import { errorCode, PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";
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
  const come: { path: string; name: string; ids: Ids; order: Expected }[] = [];
  let problem: string | undefined;
  for (const name of present) {
    const path = `${arriving}/${name}`;
    const ids = listed.get(name) ?? await readSubvolumeIds(path);
    if (ids.receivedUuid === undefined) continue;
    const order = ordered.get(ids.receivedUuid);
    if (order === undefined) problem ??= "what was received is not what was announced";
    else come.push({ path, name, ids, order });
  }
  const increments = come.filter(({ order }) => order.parent !== undefined);
  const torn = await tornIncrements(increments.map(({ path }) => path));
  const names = new Map<string, string>();
  for (const { path, name, ids, order } of come) {
    const why = problemOf(path, ids, order, torn.get(path));
    if (why === undefined) names.set(order.identity, name);
    else problem ??= `what was received ${why}`;
  }
  return { names, problem };
}

type Ids = Pick<SubvolumeIds, "parentUuid" | "receivedUuid">;

function problemOf(path: string, { parentUuid }: Ids, { parent }: Expected, left?: string) {
  if (!isReadOnly(path)) return "is not read-only: the stream was not complete";
  if (parent === undefined) return undefined;
  if (parentUuid === undefined) return "was not made of the parent that was announced";
  if (left === undefined) return undefined;
  return `has ${left}, which an increment may leave of a deleted folder`;
}

/**
 * Names that `btrfs send` gives at the root to what is on its way (gen_unique_name in fs/btrfs/send.c).
 * Of a folder that held a subvolume, both being gone, the kernel may forget to send the end: what came
 * before (can_rmdir) looks at the number of the subvolume as if it were that of an inode.
 */
const sendsOwn = "o[0-9]+-[0-9]+-[0-9]+";
const isSendsOwn = (name: string) => new RegExp(`^${sendsOwn}$`).test(name);

/** Folders of more bytes, which is twice the length of all names in them, are not read at once. */
const smallFolder = 64 << 10;

/** Such a name at the root, by the path of what has one. There may be millions of names. */
async function tornIncrements(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const torn = new Map<string, string>();
  const large: string[] = [];
  for (const path of paths) {
    if (Deno.lstatSync(path).size > smallFolder) large.push(path);
    else {
      const left = [...Deno.readDirSync(path)].find(({ name }) => isSendsOwn(name));
      if (left !== undefined) torn.set(path, left.name);
    }
  }
  if (large.length === 0) return torn;
  const { exit, stdout, messages } = await run(
    { program: "sh", args: ["-c", 'xargs -0 -n 1 sh -c "$1" sh', "sh", findScript] },
    { input: large.map((path) => `${path}\0`).join("") },
  );
  if (exit.code !== 0) {
    throw new PlasmaError("storage", `cannot look at what was received: ${messages.tail}`);
  }
  const found = new TextDecoder().decode(stdout).split("\0").slice(0, -1);
  for (let index = 0; index < found.length; index += 2) torn.set(found[index]!, found[index + 1]!);
  return torn;
}

/** Says the path of a folder, and a name in it that is one of those. */
const findScript = `find "$1" -mindepth 1 -maxdepth 1 -regextype posix-extended \
  -regex '.*/${sendsOwn}' -printf '%H\\0%f\\0' -quit`;

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
