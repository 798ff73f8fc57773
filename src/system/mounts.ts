import { PlasmaError, reasonOf } from "../errors.ts";
import { isWithin, joinPath, relativePath } from "./paths.ts";
import { run } from "./process.ts";

/** One mounted filesystem, a line of /proc/self/mountinfo; see proc_pid_mountinfo(5). */
export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** "major:minor" of the filesystem. */
  readonly device: string;
  /** What of the filesystem is mounted here: "/" or the path of a folder in it. */
  readonly root: string;
  /** Where it is mounted. */
  readonly path: string;
  /** The type of the filesystem, "ext4", "fuse.sshfs" ... */
  readonly type: string;
  readonly source: string;
  /** Whether the whole filesystem is read-only, and not only this mount of it. */
  readonly isFilesystemReadOnly: boolean;
}

/** The mounts that can be reached by their path, in the order in which they were made. */
export async function readMounts(): Promise<Mount[]> {
  return visibleMounts(await readAllMounts());
}

/**
 * Mounts below folders that cannot be reached because other filesystems are mounted over them: what is
 * in them is not archived.
 */
export async function readHiddenMounts(folders: readonly string[]): Promise<Mount[]> {
  const all = await readAllMounts();
  const visible = visibleMounts(all);
  return all.filter((mount) =>
    !visible.includes(mount) && !isPseudo(mount) &&
    folders.some((folder) => isWithin(mount.path, folder)) &&
    // Programs that confine others mount a folder over itself.
    mountOf(mount.path, visible)?.device !== mount.device
  );
}

async function readAllMounts(): Promise<Mount[]> {
  // Deno keeps /proc from programs that may not do everything; cat(1) is in our own namespace too.
  const { exit, stdout, messages } = await run({ program: "cat", args: ["/proc/self/mountinfo"] });
  if (exit.code !== 0) {
    throw new PlasmaError("source", `cannot read /proc/self/mountinfo: ${messages.tail}`);
  }
  return parseMountinfo(new TextDecoder().decode(stdout));
}

/** Parse the text of /proc/self/mountinfo. */
export function parseMountinfo(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [left, right] = line.split(" - ");
    const [id, parent, device, root, path] = left!.split(" ");
    const [type, source, options] = right?.split(" ") ?? [];
    if (path === undefined || type === undefined) return [];
    return [{
      id: Number(id),
      parent: Number(parent),
      device: device!,
      root: unescape(root!),
      path: unescape(path),
      type,
      source: unescape(source ?? ""),
      isFilesystemReadOnly: options?.split(",").includes("ro") ?? false,
    }];
  });
}

/** Spaces, tabs, newlines and backslashes are written in octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}

/**
 * Leave out the mounts that a later mount hides: one stacked on it (its child at the same path), or
 * one above it (a sibling whose path is a prefix: had it been there before, it were the parent).
 */
export function visibleMounts(mounts: readonly Mount[]): Mount[] {
  const byParent = Map.groupBy(mounts, (mount) => mount.parent);
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const covered = new Map<number, boolean>();
  const isCovered = (mount: Mount): boolean => {
    const known = covered.get(mount.id);
    if (known !== undefined) return known;
    // The root of a namespace may be its own parent.
    covered.set(mount.id, false);
    const parent = byId.get(mount.parent);
    const answer =
      (byParent.get(mount.parent) ?? []).some((sibling) =>
        sibling !== parent && sibling.path !== mount.path && isWithin(mount.path, sibling.path)
      ) || (parent !== undefined && isCovered(parent));
    covered.set(mount.id, answer);
    return answer;
  };
  const isStackedOn = (mount: Mount) =>
    (byParent.get(mount.id) ?? []).some((child) => child !== mount && child.path === mount.path);
  return mounts.filter((mount) => !isStackedOn(mount) && !isCovered(mount));
}

/** The mount that a path lies on: the deepest one. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  return mounts.filter((mount) => isWithin(path, mount.path))
    .reduce<Mount | undefined>(
      (best, mount) => best === undefined || mount.path.length >= best.path.length ? mount : best,
      undefined,
    );
}

/** All paths at which the same file can be reached: other mounts may show it too. */
export function aliasesOf(path: string, mounts: readonly Mount[]): string[] {
  const holder = mountOf(path, mounts);
  if (holder === undefined) return [path];
  const inside = joinPath(holder.root, relativePath(path, holder.path));
  return mounts.flatMap((mount) => {
    if (mount.device !== holder.device || !isWithin(inside, mount.root)) return [];
    const alias = joinPath(mount.path, relativePath(inside, mount.root));
    return mountOf(alias, mounts) === mount ? [alias] : [];
  });
}

/** The mounts below a folder, the folder itself excepted. */
export function mountsBelow(folder: string, mounts: readonly Mount[]): Mount[] {
  return mounts.filter((mount) => mount.path !== folder && isWithin(mount.path, folder));
}

/** A path as mountinfo has it. */
export function escapeMountPath(path: string): string {
  return path.replaceAll(
    /[ \t\n\\]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

/** Why something is left out, as it is told to people. */
export interface Skip {
  readonly reason: string;
  /** Whether it holds files of this machine, which then are not archived. */
  readonly isMissed: boolean;
  /** Whether something is wrong with it, and it would be archived otherwise. */
  readonly isProblem?: boolean;
}

/** Why the storage folder of a run, and all else that it writes, is left out. */
export const ownReason: Skip = { reason: "written by this backup itself", isMissed: false };

/** A mount that is left out, and why. */
export interface SkippedMount extends Mount, Skip {}

/**
 * Sort mounts into those that are archived and those that are left out, and with them all that is
 * mounted below: where they would be is nothing.
 *
 * @param skipReason why a mount is left out, or undefined
 */
export function splitMounts(
  mounts: readonly Mount[],
  skipReason: (mount: Mount) => Skip | undefined,
): { taken: Mount[]; skipped: SkippedMount[] } {
  const taken: Mount[] = [];
  const skipped: SkippedMount[] = [];
  for (const mount of mounts.toSorted((a, b) => a.path.length - b.path.length)) {
    const above = skipped.find(({ path }) => isWithin(mount.path, path));
    const why = above === undefined
      ? skipReason(mount)
      : { reason: `below ${above.path} (${mount.type})`, isMissed: above.isMissed };
    if (why === undefined) taken.push(mount);
    else skipped.push({ ...mount, ...why });
  }
  return { taken, skipped };
}

/** The reason for leaving out what holds no files: see isPseudo(). */
export function pseudoReason(mount: Mount): Skip | undefined {
  if (!isPseudo(mount)) return undefined;
  return { reason: `no files of its own (${mount.type})`, isMissed: false };
}

/** A mount that does not answer within this time is taken for one that never will. */
export const probeSeconds = 10;

/**
 * Find the mounts that cannot be entered: of a FUSE filesystem its user may keep even root out, and
 * what is behind it may hang.
 *
 * @returns the reasons, by the ids of the mounts
 */
export async function findUnreadable(mounts: readonly Mount[]): Promise<Map<number, Skip>> {
  // Paths that are not UTF-8 cannot be looked at.
  const known = mounts.filter(({ path }) => !path.includes("\ufffd"));
  const found = await Promise.all(known.map(async ({ id, path }) => {
    const reason = await withinSeconds(whyUnreadable(path), probeSeconds, "it does not answer");
    return [id, reason] as const;
  }));
  return new Map(
    found.flatMap(([id, reason]) =>
      reason === undefined ? [] : [[id, { reason, isMissed: false, isProblem: true }]]
    ),
  );
}

async function whyUnreadable(path: string): Promise<string | undefined> {
  try {
    const { isDirectory } = await Deno.lstat(path);
    if (!isDirectory) return undefined;
    for await (const _ of Deno.readDir(path)) break;
    return undefined;
  } catch (error) {
    // What Deno does not let us look at, other programs can.
    return error instanceof Deno.errors.NotCapable ? undefined : `unreadable: ${reasonOf(error)}`;
  }
}

/** What comes of something that may hang, or else what stands for that it does. */
export async function withinSeconds<T>(
  work: Promise<T>,
  seconds: number,
  otherwise: T,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), seconds * 1000);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

const pseudoTypes: ReadonlySet<string> = new Set([
  "autofs",
  "binfmt_misc",
  "bpf",
  "cgroup",
  "cgroup2",
  "configfs",
  "debugfs",
  "devpts",
  "devtmpfs",
  "efivarfs",
  "fuse.gvfsd-fuse",
  "fuse.lxcfs",
  "fuse.portal",
  "fusectl",
  "hugetlbfs",
  "mqueue",
  "nsfs",
  "proc",
  "pstore",
  "rpc_pipefs",
  "securityfs",
  "selinuxfs",
  "sysfs",
  "tracefs",
]);

const networkTypes: ReadonlySet<string> = new Set([
  "9p",
  "afs",
  "ceph",
  "cifs",
  "davfs",
  "fuse.ceph",
  "fuse.curlftpfs",
  "fuse.davfs2",
  "fuse.glusterfs",
  "fuse.rclone",
  "fuse.s3fs",
  "fuse.sshfs",
  "glusterfs",
  "lustre",
  "ncpfs",
  "nfs",
  "nfs4",
  "orangefs",
  "smb3",
  "smbfs",
]);

/** True for filesystems that show the kernel's state and hold no files of anybody. */
export const isPseudo = (mount: Mount) => pseudoTypes.has(mount.type);

/** True for filesystems whose files lie on another machine. */
export const isNetwork = (mount: Mount) => networkTypes.has(mount.type);
