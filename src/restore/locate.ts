import { isNotFound, PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { joinPath, parentOf } from "../system/paths.ts";

/** Where a path leads. */
export interface Location {
  /** Without symbolic links. */
  readonly path: string;
  readonly exists: boolean;
  /** Nobody but we and root can change what lies there, or swap a folder on the way to it. */
  readonly isOurs: boolean;
}

/** More than the kernel follows. */
const mostLinks = 40;

/**
 * Find out which folder a path means. As root we follow a symbolic link only where nobody else can
 * have put it; what is found here may change at once, but it is the place that was meant.
 *
 * @param path absolute; all but its last folder must exist
 * @param uid our own
 * @throws {UsageError} if no folder is there, or a link of others is on the way
 */
export function locate(path: string, uid: number): Location {
  const isOwn = (info: Deno.FileInfo) => info.uid === uid || info.uid === 0;
  let names = namesOf(path);
  let found = "/";
  let folder = Deno.lstatSync("/");
  let isOurs = isOwn(folder);
  const startAgain = (path: string) => {
    names = [...namesOf(path), ...names];
    found = "/";
    folder = Deno.lstatSync("/");
    isOurs = isOwn(folder);
  };
  for (let links = 0; names.length > 0;) {
    const name = names.shift()!;
    if (name === "..") {
      startAgain(parentOf(found));
      continue;
    }
    const next = joinPath(found, name);
    const info = look(next);
    const isFixed = isOurs && (isShut(folder) || isSticky(folder));
    if (info === undefined) {
      if (names.length === 0) return { path: next, exists: false, isOurs: isFixed };
      throw new UsageError("restore", `the folder above ${path} does not exist`, "make it first");
    }
    if (info.isSymlink) {
      if (uid === 0 && !(isFixed && isOwn(info))) {
        throw new UsageError(
          "restore",
          `${next} is a symbolic link, and others could change it`,
          "name the folder itself",
        );
      }
      if (++links > mostLinks) throw new UsageError("restore", `too many links lead to ${path}`);
      const to = Deno.readLinkSync(next);
      startAgain(to.startsWith("/") ? to : `${found}/${to}`);
      continue;
    }
    if (!info.isDirectory) {
      throw new UsageError("restore", `${next} is not a folder`, "name another --target");
    }
    isOurs = isFixed && isOwn(info);
    folder = info;
    found = next;
  }
  return { path: found, exists: true, isOurs: isOurs && isShut(folder) };
}

const namesOf = (path: string) => path.split("/").filter((name) => name !== "" && name !== ".");

/** Only its owner can change what is in it. */
const isShut = (info: Deno.FileInfo) => ((info.mode ?? 0) & 0o022) === 0;

/** Others cannot change what is not theirs in it. */
const isSticky = (info: Deno.FileInfo) => ((info.mode ?? 0) & 0o1000) !== 0;

function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw new PlasmaError("restore", `cannot look at ${path}: ${reasonOf(error)}`);
  }
}
