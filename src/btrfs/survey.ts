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
import { bytesInJson, isWithin } from "../system/paths.ts";
import { type Filesystem, type Frozen, type Part, type Reach, reachOf } from "./reach.ts";
import { visiblePaths, withoutParts } from "./reach.ts";
import { type Snapshot, snapshotsIn } from "./snapshots.ts";
import { findById, isUtf8, type Listing, listSubvolumes, type Subvolume } from "./filesystem.ts";
import { beyondOf, countByFolder, type Room } from "./surplus.ts";
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
export interface ListedFilesystem extends Filesystem, Listing {
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
  /** What is left out without a place in the reaches, and why. */
  readonly problems: readonly string[];
}

interface Limits extends Room {
  /** So many bytes the path of a subvolume may take in JSON. */
  readonly pathBytes: number;
  /** What a subvolume takes of all the bytes that there are. */
  bytesFor(path: string): number;
}

export interface SurveyOptions {
  /** Whether what is mounted below a folder and is not on btrfs is left out. */
  readonly skipsLive: boolean;
  /** Whether a place is not archived, with all below it. */
  isExcluded(path: string): boolean;
  /** Whether subvolumes are left out of which only a part can be seen. */
  readonly needsWhole?: boolean;
  /** What an archive can hold. */
  readonly limits?: Limits;
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
  { skipsLive, isExcluded, needsWhole = false, limits, ownPaths, isSynced = false }: SurveyOptions,
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
  const roots = rootsOf(reaches, located, mounts, filesystems);
  const findings = {
    reaches,
    roots,
    mounts,
    filesystems,
    ownPlaces,
    problems: hiddenIn(roots, filesystems),
  };
  requireBtrfs(findings);
  return limits === undefined ? findings : withinLimits(findings, limits);
}

/** What is left out because nobody can tell where it is, within the subvolumes that are archived. */
function hiddenIn(roots: readonly Root[], filesystems: readonly ListedFilesystem[]): string[] {
  return roots.flatMap(({ device, subvolume, path }) => {
    const found = filesystems.find((filesystem) => filesystem.device === device)!.hidden
      .filter(({ within }) => within === subvolume.id);
    if (found.length === 0) return [];
    const ids = listSome(found.map(({ id }) => `${id}`));
    return [
      `source: somewhere in ${path} subvolumes are left out, as btrfs tells no path of them ` +
      `(${found[0]!.reason}): ids ${ids}; ${findById(found[0]!.id, path)}`,
    ];
  });
}

/** Leave out what an archive cannot hold. */
function withinLimits(findings: Findings, limits: Limits): Findings {
  const { subvolumes, bytes, pathBytes } = limits;
  const isLong = ({ path }: Root) => bytesInJson(path) > pathBytes;
  const isNeeded = (root: Root) => foldersIn(findings, root).length > 0;
  const long = new Set(findings.roots.filter(isLong).map(keyOf));
  const beyond = beyondOf(
    findings.roots.filter((root) => !isLong(root)).map((root) => ({
      root,
      path: root.path,
      id: root.subvolume.id,
      bytes: limits.bytesFor(root.path),
      isNeeded: isNeeded(root),
    })),
    limits,
  ).map(({ root }) => root);
  if (long.size === 0 && beyond.length === 0) return findings;
  const reaches = findings.reaches.map((reach) =>
    withoutParts(reach, ({ origin }) => {
      if (origin.kind === "live" || !long.has(keyOf(origin))) return undefined;
      const reason = `its path takes more than ${pathBytes} bytes in a manifest`;
      return { reason, isMissed: false, isProblem: true };
    })
  );
  const surplus = new Set(beyond.map(keyOf));
  const isSurplus = ({ origin }: Part) => origin.kind === "frozen" && surplus.has(keyOf(origin));
  return {
    ...findings,
    // One line tells of all of them: there may be any number.
    reaches: reaches.map((reach) => ({
      ...reach,
      parts: reach.parts.filter((part) => !isSurplus(part)),
    })),
    roots: findings.roots.filter((root) => !long.has(keyOf(root)) && !surplus.has(keyOf(root))),
    problems: [
      ...findings.problems,
      ...(beyond.length === 0 ? [] : [
        `source: ${beyond.length} subvolumes are left out, as an archive holds no more than ` +
        `${subvolumes}, whose paths take no more than ${bytes >> 20} MiB: ${
          countByFolder(beyond.map(({ path }) => path))
        }; ` +
        "delete or exclude some",
      ]),
    ],
  };
}

/** The first ones of many, for people. */
const listSome = (words: readonly string[]) =>
  words.length > 5 ? `${words.slice(0, 5).join(", ")}, ...` : words.join(", ");

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
      filesystems.push(listed ?? { device, top, ...await listSubvolumes(top, isSynced) });
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
