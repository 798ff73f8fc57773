import { PlasmaError } from "../errors.ts";
import { namespaceFlags } from "../system/namespace.ts";
import { run } from "../system/process.ts";
import type { RunId } from "../system/run_id.ts";
import { requireTool } from "../system/tools.ts";
import {
  type Listing,
  listScript,
  listSubvolumes,
  quote,
  readLists,
  type Subvolume,
} from "./filesystem.ts";
import { type OwnSnapshot, ownSnapshot, snapshotName, unfinishedSuffix } from "./snapshot_names.ts";
import { runInTop, snapshotFolder, snapshotsPath, type Top, topPath } from "./tops.ts";

/** A snapshot of plasma, and how it is deleted. */
export interface Snapshot extends OwnSnapshot {
  readonly top: Top;
  readonly subvolume: Subvolume;
}

/** Where a snapshot is seen, once its filesystem is mounted by withTops(). */
export const pathOf = ({ top, name }: Snapshot) => `${snapshotsPath(top)}/${name}`;

/**
 * Make sure that snapshots can be taken here.
 *
 * @throws {PlasmaError} that says what is missing
 */
export async function requireSnapshots(): Promise<void> {
  for (const tool of ["btrfs", "mount", "xargs"]) await requireTool(tool);
  if (Deno.uid() !== 0) {
    throw new PlasmaError("snapshot", "only root can take snapshots of btrfs", {
      remedy: "run as root, or use the strategy tar",
    });
  }
  const { exit, messages } = await run({ program: "unshare", args: [...namespaceFlags, "true"] });
  if (exit.code === 0) return;
  throw new PlasmaError("snapshot", `cannot make a private mount namespace: ${messages.tail}`, {
    remedy: "in a container grant CAP_SYS_ADMIN, or use the strategy tar outside of it",
  });
}

/** The snapshots of plasma among the subvolumes of a filesystem. */
export function snapshotsIn(top: Top, subvolumes: readonly Subvolume[]): Snapshot[] {
  return subvolumes.flatMap((subvolume) => {
    const own = ownSnapshot(subvolume);
    return own === undefined ? [] : [{ ...own, top, subvolume }];
  });
}

/** What has come of it when snapshots of subvolumes were to be taken. */
export interface Taken {
  readonly snapshots: readonly Snapshot[];
  /** Why there is none, by the id of the subvolume. */
  readonly failures: ReadonlyMap<number, string>;
  /** All subvolumes of the filesystem afterwards, the snapshots included. */
  readonly listing: Listing;
}

/** How many are taken at once: the filesystem takes most of them in one transaction then. */
const concurrency = 32;

const folderGone = "the folder of the snapshots is gone";

/** The owner of a subvolume can set that at any time, to the uuid of any other one. */
const receivedMeanwhile = "its received uuid was set while snapshots were taken";

/**
 * Reads triples of a name, "ro" or "rw" for the snapshot at first, and the path of the subvolume;
 * says of each that failed its name and the reason. Stops when plasma itself is killed. A snapshot of
 * what was received goes by the uuid of the origin like all others of it, unless it is writable at
 * first.
 */
const takeScript = `
xargs -0 -r -n 3 -P ${concurrency} sh -c '
  kill -0 "$PLASMA" 2>/dev/null || exit 255
  target=$snapshots/$1
  if [ -e "$target" ] || [ -h "$target" ]; then words="something is at its place"
  elif [ "$2" = ro ]; then words=$(btrfs subvolume snapshot -r "$3" "$target" 2>&1 >/dev/null) && exit
  else
    words=$( { btrfs subvolume snapshot "$3" "$target${unfinishedSuffix}" &&
      btrfs property set -ts "$target${unfinishedSuffix}" ro true &&
      mv -nT "$target${unfinishedSuffix}" "$target"; } 2>&1 >/dev/null) && exit
  fi
  words=\${words##*: }
  [ "$(stat -c %h "$snapshots")" != 0 ] || words="${folderGone}"
  printf "%s %s\\0" "$1" "\${words:-it failed}"' sh || :
`;

/** The same, and after a NUL more the lists of all subvolumes, as far as they can be made. */
const takeAndListScript = `${takeScript}printf '\\0'\n(${listScript}) 2>/dev/null || :\n`;

/** How often it is tried, when a run that ends has just removed the folder of the snapshots. */
const tries = 5;

/**
 * Take read-only snapshots of subvolumes, all at the same time as nearly as can be.
 *
 * @param name the name of each snapshot is made of it, see snapshotName()
 * @throws {PlasmaError} if not even the first could be tried; some may have been taken then
 */
export async function takeSnapshots(
  top: Top,
  sources: readonly Subvolume[],
  name: { run: RunId; isKept: boolean },
): Promise<Taken> {
  const received = new Set(
    sources.filter(({ receivedUuid }) => receivedUuid !== undefined).map(({ id }) => id),
  );
  for (let attempt = 1;; attempt++) {
    const taken = await tryToTake(top, sources, received, name);
    const isAgain = [...taken.failures].filter(([id, reason]) => {
      if (reason === receivedMeanwhile) received.add(id);
      return reason === receivedMeanwhile || reason === folderGone;
    }).length > 0;
    if (!isAgain || attempt === tries) return taken;
    const problems = await deleteSnapshots(taken.snapshots);
    if (problems.length > 0) throw new PlasmaError("snapshot", problems.join("; "));
  }
}

async function tryToTake(
  top: Top,
  sources: readonly Subvolume[],
  received: ReadonlySet<number>,
  { run, isKept }: { run: RunId; isKept: boolean },
): Promise<Taken> {
  const nameOf = (source: Subvolume) => snapshotName(run, source, isKept);
  const input = sources.map((source) => {
    const path = source.path === "" ? topPath(top) : `${topPath(top)}/${source.path}`;
    return `${nameOf(source)}\0${received.has(source.id) ? "rw" : "ro"}\0${path}\0`;
  }).join("");
  const parts = await runInTop(top, takeAndListScript, { input, needsSnapshots: true });
  const words = parts.slice(0, parts.indexOf(""));
  const listed = tryToRead(top, parts.slice(words.length + 1));
  const listing = listed === undefined
    ? await listSubvolumes(top)
    : { subvolumes: listed, hidden: [] };
  const reasons = new Map(
    words.map((line) => {
      const space = line.indexOf(" ");
      return [line.slice(0, space), line.slice(space + 1)];
    }),
  );
  const made = new Map(
    snapshotsIn(top, listing.subvolumes).map((snapshot) => [snapshot.name, snapshot]),
  );
  const snapshots: Snapshot[] = [];
  const failures = new Map<number, string>();
  for (const source of sources) {
    const name = nameOf(source);
    const snapshot = made.get(name);
    // Whoever can rename subvolumes may have put another one in its place.
    const isOfSource = snapshot?.subvolume.parentUuid === source.uuid;
    if (snapshot !== undefined) snapshots.push(snapshot);
    const isReceived = snapshot?.subvolume.receivedUuid !== undefined;
    if (snapshot === undefined || !isOfSource || isReceived || reasons.has(name)) {
      const reason = snapshot === undefined
        ? `btrfs made no snapshot at ${snapshotFolder}/${name}`
        : isOfSource
        ? receivedMeanwhile
        : "another subvolume was in its place";
      failures.set(source.id, reasons.get(name) ?? reason);
    }
  }
  return { snapshots, failures, listing };
}

/** Undefined if there are not all lists, or names in them mislead. */
function tryToRead(top: Top, lists: readonly string[]): readonly Subvolume[] | undefined {
  return lists.length < 4 ? undefined : readLists(top, lists);
}

/**
 * Reads ids; says of each that could not be deleted its id and the reason. A killed run may still be
 * deleting what the next one finds.
 */
const deleteScript = `
xargs -r -n 1 -P 8 sh -c '
  words=$(btrfs subvolume delete -i "$1" "$top" 2>&1 >/dev/null) && exit
  btrfs inspect-internal subvolid-resolve "$1" "$top" >/dev/null 2>&1 || exit 0
  words=\${words##*: }
  printf "%s %s\\0" "$1" "\${words:-it failed}"' sh
rmdir "$top/${snapshotFolder}" 2>/dev/null || :
`;

/**
 * Delete snapshots, by id: nobody can put another subvolume in their place. The folder that held
 * them goes when it is empty.
 *
 * @returns for each filesystem where some could not be deleted a line with the command to do it
 */
export async function deleteSnapshots(snapshots: readonly Snapshot[]): Promise<string[]> {
  const byDevice = Map.groupBy(snapshots, ({ top }) => top.device);
  const problems = await Promise.all([...byDevice.values()].map(async (doomed) => {
    const { top } = doomed[0]!;
    const ids = doomed.map(({ subvolume }) => subvolume.id);
    try {
      const input = ids.map((id) => `${id}\n`).join("");
      const failures = await runInTop(top, deleteScript, { input, needsSnapshots: false });
      if (failures.length === 0) return [];
      const left = failures.map((line) => Number(line.split(" ")[0]));
      const reason = failures[0]!.slice(failures[0]!.indexOf(" ") + 1);
      return [describeLeft(top, left, reason)];
    } catch (error) {
      return [describeLeft(top, ids, error instanceof Error ? error.message : String(error))];
    }
  }));
  return problems.flat();
}

/** Delete all snapshots that a run has made in a filesystem, whatever has become of it. */
export async function deleteSnapshotsOf(run: RunId, top: Top): Promise<string[]> {
  let listing: Listing;
  try {
    listing = await listSubvolumes(top);
  } catch (error) {
    // What is there then is left to the next run.
    return error instanceof PlasmaError ? [`snapshot: ${error.message}`] : [];
  }
  return await deleteSnapshots(
    snapshotsIn(top, listing.subvolumes).filter((one) => one.run === run),
  );
}

function describeLeft({ source }: Top, ids: readonly number[], reason: string): string {
  const command = `mount -o subvolid=5 ${quote(source)} /mnt && ` +
    `for id in ${ids.join(" ")}; do btrfs subvolume delete -i $id /mnt; done`;
  return `snapshot: cannot delete ${ids.length} snapshots of the filesystem on ${source}: ${reason}; ` +
    `delete them by hand: unshare --mount sh -c ${quote(command)}`;
}
