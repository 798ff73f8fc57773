import fs from "node:fs";
import { errorCode, isNotFound } from "../errors.ts";
import { NotRegularError, openRegularFile } from "./regular_file.ts";
import { identityOf, isSameAt } from "./same_file.ts";

/**
 * Files and folders that survive a power cut, and that only their owner can read whatever the
 * umask is. A failed fsync is final: the kernel may have dropped the data and marked it clean, so
 * that a second try would succeed without having written it (fsync(2)); callers discard the file.
 */

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;

/** Create a file that does not exist yet, mode 0600, and open it for reading and writing. */
export function createPrivate(path: string, access: "write" | "append" = "write"): number {
  const flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | (access === "append" ? O_APPEND : 0);
  const file = fs.openSync(path, flags, 0o600);
  fs.fchmodSync(file, 0o600);
  return file;
}

/** How often to try when others create and remove the file at the same time. */
const openTries = 100;

/**
 * Open a file for reading and writing, with mode 0600, and create it if it does not exist.
 *
 * @throws {NotRegularError} if something else is in its place, or it has another name
 */
export function openPrivate(path: string, access: "write" | "append" = "write"): number {
  for (let attempt = 0; attempt < openTries; attempt++) {
    try {
      const file = openRegularFile(path, access);
      fs.fchmodSync(file, 0o600);
      return file;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    try {
      return createPrivate(path, access);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
    }
  }
  throw new NotRegularError("somebody keeps removing it");
}

/** Write a new file and bring it to the disk. Throws EEXIST if there is one. */
export function writeDurably(path: string, text: string): void {
  const file = createPrivate(path);
  try {
    const bytes = new TextEncoder().encode(text);
    let offset = 0;
    while (offset < bytes.length) {
      offset += fs.writeSync(file, bytes, offset, bytes.length - offset);
    }
    fs.fsyncSync(file);
  } catch (error) {
    fs.closeSync(file);
    removeIfPresent(path);
    throw error;
  }
  fs.closeSync(file);
}

/** Bring a folder's entries to the disk. */
export function syncFolder(path: string): void {
  const folder = fs.openSync(path, "r");
  try {
    fs.fsyncSync(folder);
  } finally {
    fs.closeSync(folder);
  }
}

/**
 * Create a folder with mode 0700 if it does not exist.
 *
 * @returns true if it was created
 * @throws if the path exists and is not a folder, or is a symbolic link
 */
export function makePrivateFolder(path: string): boolean {
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) === "EEXIST" && Deno.lstatSync(path).isDirectory) return false;
    throw error;
  }
  openToOwner(path);
  return true;
}

/** Undo what the umask has taken from the owner of a new folder; chmod(2) would follow a link. */
function openToOwner(path: string): void {
  if ((fs.lstatSync(path).mode & 0o777) === 0o700) return;
  const folder = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    if (!isSameAt(path, identityOf(folder))) {
      throw new Error(`somebody has put something else at ${path}`);
    }
    fs.fchmodSync(folder, 0o700);
  } finally {
    fs.closeSync(folder);
  }
}

/** Remove a file; false if there was none. */
export function removeIfPresent(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
