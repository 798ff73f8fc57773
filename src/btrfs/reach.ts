import type { Located } from "../system/locate.ts";
import { isWithin, joinPath, parentOf, relativePath } from "../system/paths.ts";
import {
  isNetwork,
  type Mount,
  mountOf,
  mountsBelow,
  pseudoReason,
  type Skip,
  splitMounts,
} from "../system/mounts.ts";
import type { Subvolume } from "./filesystem.ts";
import { isInSnapshotFolder } from "./snapshot_names.ts";

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
  /** What must be found there: the filesystem ("major:minor"), and the path in it. */
  readonly device: string;
  readonly root: string;
}

/** Something that is to be seen at a path of the archive. */
export interface Part {
  /** Where it is to be seen. */
  readonly target: string;
  readonly origin: Frozen | Live;
}

/** A place that is left out, and why. */
export interface LeftOut extends Skip {
  readonly path: string;
}

/** What a folder is made of. */
export interface Reach {
  readonly folder: string;
  /** Upper ones before those below them; the first one holds the folder itself. */
  readonly parts: readonly Part[];
  readonly skipped: readonly LeftOut[];
}

/**
 * Given the mounts and the btrfs filesystems, find out what a folder is made of.
 *
 * @param skipReason why what is mounted below the folder is left out, beside what holds no files
 * of this machine
 */
export function reachOf(
  { folder, real }: Located,
  mounts: readonly Mount[],
  filesystems: readonly Filesystem[],
  skipReason: (mount: Mount) => Skip | undefined = () => undefined,
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
    (mount) => networkReason(mount) ?? pseudoReason(mount) ?? skipReason(mount),
  );
  for (const mount of taken) {
    parts.push({ target: atTarget(mount.path), origin: originOf(mount.path, mount, filesystems) });
    addNested(mount, mount.path);
  }
  return { folder, parts: sortByDepth(parts), skipped };
}

/** Take parts out for which there is a reason to; what holds the folder itself stays. */
export function withoutParts(reach: Reach, reasonOf: (part: Part) => Skip | undefined): Reach {
  const [first, ...others] = reach.parts;
  const parts = [first!];
  const skipped = [...reach.skipped];
  for (const part of others) {
    const skip = reasonOf(part);
    if (skip === undefined) parts.push(part);
    else skipped.push({ path: part.target, ...skip });
  }
  return { ...reach, parts, skipped };
}

function networkReason(mount: Mount): Skip | undefined {
  if (!isNetwork(mount)) return undefined;
  return { reason: `on a network filesystem (${mount.type})`, isMissed: false };
}

/** What is at a path that lies on the given mount. */
function originOf(path: string, mount: Mount, filesystems: readonly Filesystem[]): Frozen | Live {
  const filesystem = filesystems.find(({ device }) => device === mount.device);
  const { device, type } = mount;
  const fsPath = pathInFilesystem(path, mount);
  if (filesystem === undefined) return { kind: "live", path, type, device, root: `/${fsPath}` };
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
    !isInSnapshotFolder(subvolume)
  ).map((subvolume) => ({
    subvolume,
    path: joinPath(mount.path, relativePath(`/${subvolume.path}`, mount.root)),
  }));
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

/** The paths at which the root of a subvolume can be seen. */
export function visiblePaths(
  device: string,
  subvolume: Subvolume,
  mounts: readonly Mount[],
): string[] {
  return mounts.flatMap((mount) => {
    if (mount.device !== device || !isWithin(`/${subvolume.path}`, mount.root)) return [];
    const path = joinPath(mount.path, relativePath(`/${subvolume.path}`, mount.root));
    return mountOf(path, mounts) === mount ? [path] : [];
  });
}

function sortByDepth(parts: readonly Part[]): Part[] {
  const depth = ({ target }: Part) => target === "/" ? 0 : target.split("/").length;
  return parts.toSorted((a, b) => depth(a) - depth(b));
}
