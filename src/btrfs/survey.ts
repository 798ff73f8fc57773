import { PlasmaError } from "../errors.ts";
import { type Mount, mountOf, mountsBelow, readMounts } from "../system/mounts.ts";
import { locate, type Located } from "../system/locate.ts";
import { run } from "../system/process.ts";
import { requireTool } from "../system/tools.ts";
import {
  type Filesystem,
  type Frozen,
  type Reach,
  reachOf,
  visiblePaths,
  withoutExcluded,
} from "./reach.ts";
import {
  isReadOnly,
  listSubvolumes,
  mapConcurrently,
  type OwnSnapshot,
  ownSnapshot,
  requireUtf8,
  type Subvolume,
} from "./subvolumes.ts";
import { namespaceFlags } from "./view.ts";
import { isWithin } from "../system/paths.ts";

/** A subvolume that is to be frozen, and where its root can be reached. */
export interface Root {
  readonly device: string;
  readonly subvolume: Subvolume;
  readonly path: string;
}

/** A snapshot of plasma, at a path where it can be deleted. */
export interface FoundSnapshot extends OwnSnapshot {
  readonly device: string;
  readonly path: string;
}

/** All that is known when the folders have been looked at. */
export interface Findings {
  readonly reaches: readonly Reach[];
  readonly roots: readonly Root[];
  readonly located: readonly Located[];
  readonly mounts: readonly Mount[];
  /** Snapshots in these filesystems that some run of plasma has made. */
  readonly oldSnapshots: readonly FoundSnapshot[];
}

export interface SurveyOptions {
  /** Whether what is mounted below a folder and is not on btrfs is left out. */
  readonly skipsLive: boolean;
  /** Folders that are not archived, with all below them. */
  readonly excluded: readonly string[];
}

/**
 * Find out what folders are made of: the subvolumes, and the snapshots of plasma that lie about.
 *
 * @throws {PlasmaError} if none of it is on btrfs
 */
export async function surveyBtrfs(
  folders: readonly string[],
  { skipsLive, excluded }: SurveyOptions,
): Promise<Findings> {
  const mounts = await readMounts();
  const located = await Promise.all(folders.map(locate));
  const filesystems = await readFilesystems(located, mounts);
  const reaches = located.map((folder) =>
    withoutExcluded(reachOf(folder, mounts, filesystems, skipsLive), excluded)
  );
  const findings: Findings = {
    reaches,
    roots: await mapConcurrently(rootsOf(reaches, located, mounts), confirmReadOnly),
    located,
    mounts,
    oldSnapshots: findOldSnapshots(filesystems, mounts),
  };
  requireBtrfs(findings);
  return findings;
}

/**
 * Make sure that snapshots can be taken here.
 *
 * @throws {PlasmaError} that says what is missing
 */
export async function requireSnapshots(): Promise<void> {
  await requireTool("btrfs");
  if (Deno.uid() === 0) return;
  throw new PlasmaError("snapshot", "only root can take snapshots of btrfs", {
    remedy: "run as root, or use the strategy tar",
  });
}

/**
 * Make sure that a mount namespace of our own can be made.
 *
 * @throws {PlasmaError} with the reason why not
 */
export async function requireNamespace(): Promise<void> {
  const { exit, messages } = await run({ program: "unshare", args: [...namespaceFlags, "true"] });
  if (exit.code === 0) return;
  throw new PlasmaError("snapshot", `cannot make a private mount namespace: ${messages.tail}`, {
    remedy: "in a container grant CAP_SYS_ADMIN, or use the strategy tar outside of it",
  });
}

/** The btrfs filesystems within reach of the folders. */
async function readFilesystems(
  located: readonly Located[],
  mounts: readonly Mount[],
): Promise<Filesystem[]> {
  const near = located.flatMap((
    { real },
  ) => [mountOf(real, mounts)!, ...mountsBelow(real, mounts)]);
  const devices = new Set(near.filter(({ type }) => type === "btrfs").map(({ device }) => device));
  const filesystems: Filesystem[] = [];
  for (const device of devices) {
    const mount = mounts.find((mount) => mount.device === device && isFolder(mount.path));
    if (mount === undefined) {
      throw new PlasmaError("snapshot", `no folder of the filesystem ${device} is mounted`);
    }
    filesystems.push({ device, subvolumes: await listSubvolumes(mount.path) });
  }
  return filesystems;
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** The subvolumes that the folders are made of, each once, with paths to their roots. */
function rootsOf(
  reaches: readonly Reach[],
  located: readonly Located[],
  mounts: readonly Mount[],
): Root[] {
  // Of several paths the one that belongs to a folder tells the user most.
  const isNear = (path: string) =>
    located.some(({ real }) => isWithin(real, path) || isWithin(path, real));
  const roots = new Map<string, Root>();
  for (const { origin } of reaches.flatMap(({ parts }) => parts)) {
    if (origin.kind === "live" || roots.has(keyOf(origin))) continue;
    const { device, subvolume } = origin;
    requireUtf8(subvolume);
    const paths = visiblePaths(device, subvolume, mounts, !subvolume.readOnly);
    const path = paths.find(isNear) ?? paths[0];
    if (path === undefined) {
      throw new PlasmaError(
        "snapshot",
        `the root of the subvolume "${subvolume.path}" (id ${subvolume.id}) is nowhere mounted writable`,
        { code: "source", remedy: `mount it: mount -o subvolid=${subvolume.id} DEVICE FOLDER` },
      );
    }
    roots.set(keyOf(origin), { device, subvolume, path });
  }
  return [...roots.values()];
}

/** What is said to be read-only is not snapshotted: then it must really be so. */
async function confirmReadOnly(root: Root): Promise<Root> {
  if (!root.subvolume.readOnly) return root;
  const readOnly = await isReadOnly(root.path);
  return { ...root, subvolume: { ...root.subvolume, readOnly } };
}

/** True if both times the same subvolumes were found, at the same paths. */
export function sameRoots(a: Findings, b: Findings): boolean {
  const names = ({ roots }: Findings) => roots.map((root) => `${keyOf(root)} ${root.path}`).sort();
  return names(a).join("\0") === names(b).join("\0");
}

/** Identifies a subvolume on this machine. */
export const keyOf = ({ device, subvolume }: Pick<Frozen, "device" | "subvolume">) =>
  `${device} ${subvolume.id}`;

/** Only read-only subvolumes: plasma makes no others. */
function findOldSnapshots(
  filesystems: readonly Filesystem[],
  mounts: readonly Mount[],
): FoundSnapshot[] {
  return filesystems.flatMap(({ device, subvolumes }) =>
    subvolumes.flatMap((subvolume) => {
      const own = subvolume.readOnly ? ownSnapshot(subvolume.path, subvolumes) : undefined;
      const [path] = own === undefined ? [] : visiblePaths(device, subvolume, mounts, true);
      return own === undefined || path === undefined ? [] : [{ ...own, device, path }];
    })
  );
}

function requireBtrfs({ roots, reaches }: Findings): void {
  if (roots.length > 0) return;
  throw new PlasmaError(
    "snapshot",
    `nothing of ${reaches.map(({ folder }) => folder).join(", ")} is on btrfs`,
    { code: "source", remedy: "use the strategy tar" },
  );
}
