import { PlasmaError } from "../errors.ts";
import { locate, type Located, seenThrough } from "../system/locate.ts";
import {
  findUnreadable,
  isNetwork,
  isPseudo,
  type Mount,
  mountOf,
  mountsBelow,
  ownReason,
  readMounts,
  type Skip,
} from "../system/mounts.ts";
import { isWithin } from "../system/paths.ts";
import { run } from "../system/process.ts";
import { requireTool } from "../system/tools.ts";
import { type Filesystem, type Frozen, type Part, type Reach, reachOf } from "./reach.ts";
import { visiblePaths, withoutParts } from "./reach.ts";
import { type Snapshot, snapshotsIn } from "./snapshots.ts";
import { isUtf8, listSubvolumes, type Subvolume } from "./filesystem.ts";
import { namespaceFlags } from "../system/namespace.ts";
import { type Top, topOf } from "./tops.ts";

/** A subvolume that is to be frozen. */
export interface Root {
  readonly top: Top;
  readonly device: string;
  readonly subvolume: Subvolume;
  /** Where it is seen: the path of its root or, if that is nowhere mounted, of a part of it. */
  readonly path: string;
  readonly isWholeSeen: boolean;
}

/** A btrfs filesystem with its subvolumes, the snapshots of plasma among them. */
export interface ListedFilesystem extends Filesystem {
  readonly top: Top;
}

/** All that is known when the folders have been looked at. */
export interface Findings {
  readonly reaches: readonly Reach[];
  readonly roots: readonly Root[];
  readonly mounts: readonly Mount[];
  readonly filesystems: readonly ListedFilesystem[];
  /** Where what the run writes itself is seen in the folders. */
  readonly ownPlaces: readonly string[];
}

export interface SurveyOptions {
  /** Whether what is mounted below a folder and is not on btrfs is left out. */
  readonly skipsLive: boolean;
  /** Whether a place is not archived, with all below it. */
  isExcluded(path: string): boolean;
  /** Whether subvolumes are left out of which only a part can be seen. */
  readonly needsWhole?: boolean;
  /** What the run writes itself. */
  readonly ownPaths: readonly string[];
  /** Whether the filesystems are synced first, so that the generations tell of all changes so far. */
  readonly isSynced?: boolean;
}

/**
 * Find out what folders are made of: the subvolumes, and the snapshots of plasma that lie about.
 *
 * @param known filesystems that have been listed already
 * @throws {PlasmaError} if none of it is on btrfs, or a folder itself cannot be archived
 */
export async function surveyBtrfs(
  folders: readonly string[],
  { skipsLive, isExcluded, needsWhole = false, ownPaths, isSynced = false }: SurveyOptions,
  known: readonly ListedFilesystem[] = [],
): Promise<Findings> {
  const [mounts, located] = await Promise.all([
    readMounts(),
    Promise.all(folders.map(locate)),
  ]);
  const holders = located.map(({ real }) => mountOf(real, mounts)!);
  const below = located.flatMap(({ real }) => mountsBelow(real, mounts));
  const lived = below.filter((mount) =>
    !skipsLive && mount.type !== "btrfs" && !isPseudo(mount) && !isNetwork(mount)
  );
  const [{ filesystems, broken }, unreadable, own] = await Promise.all([
    listFilesystems([...holders, ...below], mounts, known, isSynced),
    findUnreadable(lived),
    seenThrough(located, ownPaths, mounts),
  ]);
  for (const { device } of holders) {
    if (broken.has(device)) throw broken.get(device);
  }
  const skipReason = (mount: Mount): Skip | undefined => {
    const error = broken.get(mount.device);
    if (error !== undefined) return { reason: error.message, isMissed: false, isProblem: true };
    if (skipsLive && mount.type !== "btrfs") {
      return { reason: `on ${mount.type}, not on btrfs`, isMissed: true };
    }
    return unreadable.get(mount.id);
  };
  const ownPlaces = own.filter((place) => folders.some((folder) => isWithin(place, folder)));
  const reasonOf = ({ target, origin }: Part): Skip | undefined => {
    if (isExcluded(target)) return { reason: "excluded", isMissed: false };
    if (ownPlaces.some((place) => isWithin(target, place))) return ownReason;
    if (origin.kind === "live") return undefined;
    return nameReason(origin.subvolume) ?? (needsWhole ? partReason(origin, mounts) : undefined);
  };
  const reaches = located.map((folder) =>
    withoutParts(reachOf(folder, mounts, filesystems, skipReason), reasonOf)
  );
  const findings = {
    reaches,
    roots: rootsOf(reaches, located, mounts, filesystems),
    mounts,
    filesystems,
    ownPlaces,
  };
  requireBtrfs(findings);
  return findings;
}

function nameReason(subvolume: Subvolume): Skip | undefined {
  if (isUtf8(subvolume)) return undefined;
  const reason = `the name of subvolume ${subvolume.id} is not valid UTF-8: rename it`;
  return { reason, isMissed: false, isProblem: true };
}

function partReason({ device, subvolume, inside }: Frozen, mounts: readonly Mount[]) {
  if (inside === "" || visiblePaths(device, subvolume, mounts).length > 0) return undefined;
  const reason = `only a part of the subvolume /${subvolume.path} is mounted: mount its root too`;
  return { reason, isMissed: false, isProblem: true };
}

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

/** The btrfs filesystems among mounts; those that cannot be listed, with the reason. */
async function listFilesystems(
  near: readonly Mount[],
  mounts: readonly Mount[],
  known: readonly ListedFilesystem[],
  isSynced: boolean,
) {
  const devices = new Set(near.filter(({ type }) => type === "btrfs").map(({ device }) => device));
  const filesystems: ListedFilesystem[] = [];
  const broken = new Map<string, PlasmaError>();
  await Promise.all([...devices].map(async (device) => {
    try {
      const top = topOf(device, mounts);
      const listed = known.find((one) => one.device === device);
      filesystems.push(listed ?? { device, top, subvolumes: await listSubvolumes(top, isSynced) });
    } catch (error) {
      if (!(error instanceof PlasmaError)) throw error;
      broken.set(device, error);
    }
  }));
  return { filesystems, broken };
}

/** The subvolumes that the folders are made of, each once, with the paths at which they are seen. */
function rootsOf(
  reaches: readonly Reach[],
  located: readonly Located[],
  mounts: readonly Mount[],
  filesystems: readonly ListedFilesystem[],
): Root[] {
  // Of several paths the one that belongs to a folder tells the user most.
  const isNear = (path: string) =>
    located.some(({ real }) => isWithin(real, path) || isWithin(path, real));
  const tops = new Map(filesystems.map(({ device, top }) => [device, top]));
  const roots = new Map<string, Root>();
  for (const { origin, target } of reaches.flatMap(({ parts }) => parts)) {
    if (origin.kind === "live" || roots.has(keyOf(origin))) continue;
    const { device, subvolume } = origin;
    const paths = visiblePaths(device, subvolume, mounts);
    const path = paths.find(isNear) ?? paths[0];
    roots.set(keyOf(origin), {
      top: tops.get(device)!,
      device,
      subvolume,
      path: path ?? target,
      isWholeSeen: path !== undefined,
    });
  }
  return [...roots.values()];
}

/** Identifies a subvolume on this machine. */
export const keyOf = ({ device, subvolume }: Pick<Frozen, "device" | "subvolume">) =>
  `${device} ${subvolume.id}`;

/** The snapshots in these filesystems that runs of plasma have made. */
export const oldSnapshots = ({ filesystems }: Findings): Snapshot[] =>
  filesystems.flatMap(({ top, subvolumes }) => snapshotsIn(top, subvolumes));

/** The configured folders that lie in a subvolume themselves. */
export function foldersIn({ reaches }: Findings, root: Root): string[] {
  return reaches.flatMap(({ folder, parts: [first] }) =>
    first!.origin.kind === "frozen" && keyOf(first!.origin) === keyOf(root) ? [folder] : []
  );
}

function requireBtrfs({ roots, reaches }: Pick<Findings, "roots" | "reaches">): void {
  if (roots.length > 0) return;
  throw new PlasmaError(
    "snapshot",
    `nothing of ${reaches.map(({ folder }) => folder).join(", ")} is on btrfs`,
    { code: "source", remedy: "use the strategy tar" },
  );
}
