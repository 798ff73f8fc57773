import type { Located } from "../system/locate.ts";
import { isWithin, joinPath, parentOf, relativePath } from "../system/paths.ts";
import {
  isNetwork,
  type Mount,
  mountOf,
  mountsBelow,
  pseudoReason,
  type SkippedMount,
  splitMounts,
} from "../system/mounts.ts";
import { snapshotFolder, type Subvolume } from "./subvolumes.ts";

/**
 * What lies within reach of a folder: the subvolumes that hold it and that are nested in it, and
 * the other filesystems mounted below. Pure: mounts and subvolumes are given.
 */

/** A btrfs filesystem, and what is known of it. */
export interface Filesystem {
  /** "major:minor" as in mountinfo. */
  readonly device: string;
  readonly subvolumes: readonly Subvolume[];
}

/** A part of a subvolume. */
export interface Frozen {
  readonly kind: "frozen";
  readonly device: string;
  readonly subvolume: Subvolume;
  /** The path within the subvolume, without a leading slash; "" is its root. */
  readonly inside: string;
}

/** A part of another filesystem, by its path. */
export interface Live {
  readonly kind: "live";
  readonly path: string;
  readonly type: string;
}

/** Something that is to be seen at a path of the archive. */
export interface Part {
  /** Where it is to be seen. */
  readonly target: string;
  readonly origin: Frozen | Live;
}

/** What a folder is made of. */
export interface Reach {
  readonly folder: string;
  /** Upper ones before those below them. */
  readonly parts: readonly Part[];
  readonly skipped: readonly SkippedMount[];
  /** Where parts would be that are excluded. */
  readonly excluded: readonly string[];
}

/**
 * Given the mounts and the btrfs filesystems, find out what a folder is made of.
 *
 * @param skipsLive whether what is mounted below the folder and is not on btrfs is left out
 */
export function reachOf(
  { folder, real }: Located,
  mounts: readonly Mount[],
  filesystems: readonly Filesystem[],
  skipsLive = false,
): Reach {
  const parts: Part[] = [];
  const holder = mountOf(real, mounts)!;
  const atTarget = (path: string) => joinPath(folder, relativePath(path, real));

  // A folder that is no root is seen through the folder that holds it: it may be a file or a link,
  // which cannot be mounted.
  const seen = real === holder.path || isRoot(real, holder, filesystems)
    ? { path: real, target: folder }
    : { path: parentOf(real), target: parentOf(folder) };
  const first = mountOf(seen.path, mounts)!;
  parts.push({ target: seen.target, origin: originOf(seen.path, first, filesystems) });

  const addNested = (mount: Mount, from: string) => {
    for (const { path, subvolume } of subvolumesBelow(from, mount, filesystems)) {
      if (mountOf(path, mounts) !== mount) continue;
      const origin = { kind: "frozen", device: mount.device, subvolume, inside: "" } as const;
      parts.push({ target: atTarget(path), origin });
    }
  };
  addNested(holder, real);
  const { taken, skipped } = splitMounts(
    mountsBelow(real, mounts),
    (mount) => skipReason(mount, skipsLive),
  );
  for (const mount of taken) {
    parts.push({ target: atTarget(mount.path), origin: originOf(mount.path, mount, filesystems) });
    addNested(mount, mount.path);
  }
  return { folder, parts: sortByDepth(parts), skipped, excluded: [] };
}

/** Take the parts out that lie in excluded folders. */
export function withoutExcluded(reach: Reach, folders: readonly string[]): Reach {
  const [first, ...others] = reach.parts;
  const isExcluded = ({ target }: Part) => folders.some((folder) => isWithin(target, folder));
  const excluded = others.filter(isExcluded).map(({ target }) => target);
  return { ...reach, parts: [first!, ...others.filter((part) => !isExcluded(part))], excluded };
}

function skipReason(mount: Mount, skipsLive: boolean): ReturnType<typeof pseudoReason> {
  if (isNetwork(mount)) {
    return { reason: `on a network filesystem (${mount.type})`, isMissed: false };
  }
  if (!skipsLive || mount.type === "btrfs") return pseudoReason(mount);
  return pseudoReason(mount) ?? { reason: `on ${mount.type}, not on btrfs`, isMissed: true };
}

/** What is at a path that lies on the given mount. */
function originOf(path: string, mount: Mount, filesystems: readonly Filesystem[]): Frozen | Live {
  const filesystem = filesystems.find(({ device }) => device === mount.device);
  if (filesystem === undefined) return { kind: "live", path, type: mount.type };
  const { device } = filesystem;
  const fsPath = pathInFilesystem(path, mount);
  const subvolume = holderOf(fsPath, filesystem.subvolumes);
  const inside = relativePath(`/${fsPath}`, `/${subvolume.path}`);
  return { kind: "frozen", device, subvolume, inside };
}

/** True if a path is the root of a subvolume. */
function isRoot(path: string, mount: Mount, filesystems: readonly Filesystem[]): boolean {
  const filesystem = filesystems.find(({ device }) => device === mount.device);
  const fsPath = pathInFilesystem(path, mount);
  return filesystem?.subvolumes.some((subvolume) => subvolume.path === fsPath) ?? false;
}

/** The subvolumes whose roots lie below a path. */
function subvolumesBelow(
  path: string,
  mount: Mount,
  filesystems: readonly Filesystem[],
): { path: string; subvolume: Subvolume }[] {
  const filesystem = filesystems.find(({ device }) => device === mount.device);
  if (filesystem === undefined) return [];
  const start = `/${pathInFilesystem(path, mount)}`;
  return filesystem.subvolumes.filter((subvolume) =>
    isWithin(`/${subvolume.path}`, start) && `/${subvolume.path}` !== start &&
    !isOwn(subvolume.path, filesystem.subvolumes)
  ).map((subvolume) => ({
    subvolume,
    path: joinPath(mount.path, relativePath(`/${subvolume.path}`, mount.root)),
  }));
}

/** True for what lies in the snapshot folder of a subvolume. */
function isOwn(path: string, subvolumes: readonly Subvolume[]): boolean {
  return subvolumes.some((subvolume) => {
    const folder = joinPath(`/${subvolume.path}`, snapshotFolder);
    return isWithin(`/${path}`, folder);
  });
}

/** The subvolume that holds a path: the deepest one. */
function holderOf(fsPath: string, subvolumes: readonly Subvolume[]): Subvolume {
  return subvolumes.filter(({ path }) => isWithin(`/${fsPath}`, `/${path}`))
    .reduce((best, subvolume) => subvolume.path.length > best.path.length ? subvolume : best);
}

/** The path from the top of the filesystem, without a leading slash. */
function pathInFilesystem(path: string, mount: Mount): string {
  return joinPath(mount.root, relativePath(path, mount.path)).slice(1);
}

/**
 * The paths at which the root of a subvolume can be reached.
 *
 * @param writable whether a mount that is read-only will not do
 */
export function visiblePaths(
  device: string,
  subvolume: Subvolume,
  mounts: readonly Mount[],
  writable: boolean,
): string[] {
  return mounts.flatMap((mount) => {
    if (mount.device !== device || !isWithin(`/${subvolume.path}`, mount.root)) return [];
    if (writable && mount.readOnly) return [];
    const path = joinPath(mount.path, relativePath(`/${subvolume.path}`, mount.root));
    return mountOf(path, mounts) === mount ? [path] : [];
  });
}

function sortByDepth(parts: readonly Part[]): Part[] {
  const depth = ({ target }: Part) => target === "/" ? 0 : target.split("/").length;
  return parts.toSorted((a, b) => depth(a) - depth(b));
}
