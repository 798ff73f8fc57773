import { PlasmaError } from "../errors.ts";
import { describeExit, run, start } from "../system/process.ts";
import { mapConcurrently, readSubvolumeIds, subvolumeInode } from "./subvolumes.ts";

/** A row of `btrfs subvolume list`. */
export interface ListedSubvolume {
  readonly id: number;
  readonly uuid: string;
  /** Undefined for none. */
  readonly parentUuid: string | undefined;
  readonly receivedUuid: string | undefined;
  /** Begins at the top of the filesystem, or at a subvolume on the way: only its end is sure. */
  readonly path: string;
}

/**
 * Look at all subvolumes of the filesystem that holds a folder, in one go and with flat memory.
 *
 * A name may hold newlines, and what follows them may look like a row: so every subvolume has its row,
 * but there may be rows without a subvolume, see {@link findListed}.
 *
 * There is no such list as long as anybody keeps a subvolume at a place that no path leads to (PATH_MAX):
 * then only those in the folder itself are looked at, one by one.
 *
 * @throws {PlasmaError} if the list cannot be made
 */
export async function eachSubvolume(
  folder: string,
  { readOnly }: { readOnly: boolean },
  visit: (row: ListedSubvolume) => void,
): Promise<void> {
  const flags = ["-u", "-q", "-R", ...(readOnly ? ["-r"] : [])];
  const child = await start(
    { program: "btrfs", args: ["subvolume", "list", ...flags, "--", folder] },
    { stdout: "pipe" },
  );
  const decoder = new TextDecoder();
  let left = "";
  let rows = 0;
  child.process.stdout?.on("data", (chunk: Uint8Array) => {
    const lines = (left + decoder.decode(chunk, { stream: true })).split("\n");
    left = lines.pop()!;
    for (const line of lines) {
      const row = parseRow(line);
      if (row === undefined) continue;
      rows++;
      visit(row);
    }
  });
  const exit = await child.exited;
  if (exit.code === 0) return;
  if (rows === 0 && child.messages.lines.some((line) => /name too long/i.test(line))) {
    return await eachWithin(folder, readOnly, visit);
  }
  const why = child.messages.tail || describeExit(exit);
  throw new PlasmaError("storage", `cannot list the subvolumes of ${folder}: ${why}`);
}

/** Subvolumes of ours lie no deeper: `.plasma/incoming/<run id>.btrfs/in/<name>`. */
const deepest = 5;

/** Look at each subvolume in a storage folder by itself; those that cannot be read are left out. */
async function eachWithin(
  folder: string,
  readOnly: boolean,
  visit: (row: ListedSubvolume) => void,
): Promise<void> {
  const script =
    `find "$1" -mindepth 1 -maxdepth ${deepest} -type d -inum ${subvolumeInode} -prune -print0`;
  const { stdout } = await run({ program: "sh", args: ["-c", script, "sh", folder] });
  const paths = new TextDecoder().decode(stdout).split("\0").slice(0, -1);
  await mapConcurrently(paths, async (path) => {
    const ids = await readSubvolumeIds(path).catch(() => undefined);
    if (ids !== undefined && (ids.readOnly || !readOnly)) visit({ ...ids, path });
  });
}

/** Undefined if the line is no row. */
export function parseRow(line: string): ListedSubvolume | undefined {
  const fields =
    /^ID (\d+) gen \d+ top level \d+ parent_uuid (\S+) +received_uuid (\S+) +uuid (\S+) path (.*)$/s
      .exec(line);
  if (fields === null) return undefined;
  const [, id, parent, received, uuid, path] = fields as unknown as string[];
  const unlessNone = (value: string | undefined) => value === "-" ? undefined : value;
  return {
    id: Number(id),
    uuid: uuid!,
    parentUuid: unlessNone(parent),
    receivedUuid: unlessNone(received),
    path: path!,
  };
}

/**
 * The rows of subvolumes by the end of their paths.
 *
 * @param ends the ends of paths, each beginning with a slash
 * @returns for each end its row; none where there are several, of which some must be forged
 */
export async function findListed(
  folder: string,
  ends: { readonly of: string; readonly names: ReadonlySet<string> },
): Promise<Map<string, ListedSubvolume>> {
  const found = new Map<string, ListedSubvolume>();
  const forged = new Set<string>();
  await eachSubvolume(folder, { readOnly: false }, (row) => {
    const slash = row.path.lastIndexOf("/");
    const name = row.path.slice(slash + 1);
    if (!ends.names.has(name) || !`/${row.path.slice(0, slash)}`.endsWith(ends.of)) return;
    if (found.has(name)) forged.add(name);
    found.set(name, row);
  });
  for (const name of forged) found.delete(name);
  return found;
}
