import { DistrustError, errorCode, isNotFound, reasonOf, UsageError } from "../errors.ts";
import { isPrivateGroup, userName } from "./accounts.ts";
import { joinPath, parentOf } from "./paths.ts";

/**
 * Whether others could change what a path leads to. Whoever may write a folder on the way can put
 * something else there, so each of its parts is looked at, and each part of the links in it.
 */

/** What lstat(2) says of a part of a path. */
export interface Part {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly isDirectory: boolean;
  /** Where it leads to; undefined for what is not a symbolic link. */
  readonly link: string | undefined;
}

/** Looks at a part of a path without following links; undefined if nothing is there. */
export type Look = (path: string) => Part | undefined;

/** Who is asking, and whom he trusts. */
export interface Trust {
  readonly uid: number;
  /** Owners who may change everything anyway. */
  readonly owners: readonly number[];
  /** Whether a group has no members who could use what it may write. */
  isPrivateGroup(gid: number): boolean;
}

/** What somebody else could change. */
export interface Distrusted {
  readonly path: string;
  readonly owner: number;
  readonly reason: "owner" | "writable" | "missing";
}

/** As many links as the kernel follows, path_resolution(7). */
const mostLinks = 40;

/**
 * The first part of an absolute path that others could change; undefined if there is none. What
 * does not exist is trusted where only trusted users can make it.
 *
 * @param scope "way" if it does not matter whose the folder at the end is, as long as nobody can put
 * another one in its place
 */
export function findDistrusted(
  path: string,
  look: Look,
  trust: Trust,
  scope: "all" | "way" = "all",
): Distrusted | undefined {
  let links = 0;
  const rest = ["", ...partsOf(path)];
  let here = "/";
  let folder: Part | undefined;
  while (rest.length > 0) {
    const name = rest.shift()!;
    if (name === "..") {
      here = parentOf(here);
      folder = look(here);
      continue;
    }
    const next = name === "" ? "/" : joinPath(here, name);
    const part = look(next);
    if (part === undefined) {
      const open = folder !== undefined && mayOthersWrite(folder, trust);
      return open ? { path: next, owner: folder!.uid, reason: "missing" } : undefined;
    }
    const isEnd = rest.length === 0 && part.link === undefined;
    if (scope === "way" && isEnd && folder !== undefined && !mayOthersWrite(folder, trust)) {
      return undefined;
    }
    if (!trust.owners.includes(part.uid)) return { path: next, owner: part.uid, reason: "owner" };
    if (part.link !== undefined) {
      if (++links > mostLinks) return undefined;
      rest.unshift(...partsOf(part.link));
      if (part.link.startsWith("/")) here = "/";
      continue;
    }
    // In a sticky folder others can make files, but cannot touch those of its users.
    const isSticky = part.isDirectory && (part.mode & 0o1000) !== 0;
    if (!isSticky && mayOthersWrite(part, trust)) {
      return { path: next, owner: part.uid, reason: "writable" };
    }
    here = next;
    folder = part;
  }
  return undefined;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function mayOthersWrite({ mode, gid }: Part, { uid, isPrivateGroup }: Trust): boolean {
  if ((mode & 0o002) !== 0) return true;
  // Users share with their groups what they like; root's files are nobody else's.
  return uid === 0 && (mode & 0o020) !== 0 && !isPrivateGroup(gid);
}

function lookAt(path: string): Part | undefined {
  try {
    const { uid, gid, mode, isDirectory, isSymlink } = Deno.lstatSync(path);
    return {
      uid: uid ?? 0,
      gid: gid ?? 0,
      mode: mode ?? 0,
      isDirectory,
      link: isSymlink ? Deno.readLinkSync(path) : undefined,
    };
  } catch (error) {
    if (isNotFound(error) || errorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

function ownTrust(): Trust {
  const uid = Deno.uid() ?? 0;
  // Who owns the root folder can replace everything; in a user namespace that is not root.
  const rootOwner = Deno.lstatSync("/").uid ?? 0;
  return { uid, owners: [0, uid, rootOwner], isPrivateGroup };
}

/**
 * Make sure that only we and root can change what a path leads to.
 *
 * @param stage names the error, and `what` the path in it
 * @throws {UsageError} that names the part of the path which others could change, and its owner
 */
export function requireTrusted(path: string, stage: string, what: string): void {
  requireScope(path, stage, what, "all");
}

/**
 * Make sure that only we and root can make a path lead to another folder, whoever may write that
 * folder. What is made or renamed in it cannot land elsewhere then.
 *
 * @throws {UsageError} as {@link requireTrusted} does
 */
export function requireTrustedWay(folder: string, stage: string, what: string): void {
  requireScope(folder, stage, what, "way");
}

function requireScope(path: string, stage: string, what: string, scope: "all" | "way"): void {
  let found: Distrusted | undefined;
  try {
    found = findDistrusted(path, lookAt, ownTrust(), scope);
  } catch (error) {
    throw new UsageError(stage, `cannot look at ${what} ${path}: ${reasonOf(error)}`);
  }
  if (found === undefined) return;
  const part = found.path === path ? "it" : found.path;
  const me = Deno.uid() === 0 ? "root" : userName(Deno.uid() ?? 0);
  const reasons = {
    owner: `${part} belongs to ${userName(found.owner)}`,
    writable: `others than its owner ${userName(found.owner)} may write ${part}`,
    missing: `${part} does not exist, and others may make it`,
  };
  throw new DistrustError(
    stage,
    `${what} ${path} can be changed by others: ${reasons[found.reason]}`,
    `see to it that it and all folders above it belong to ${me} and only ${me} may write them`,
  );
}
