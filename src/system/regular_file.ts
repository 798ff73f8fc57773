import fs from "node:fs";
import { isSameAt } from "./same_file.ts";

/**
 * Files in folders in which somebody else may have put what he likes. They are opened only if they
 * are regular files: a symbolic link would lead elsewhere, opening a FIFO would wait for ever, and
 * opening some devices has effects.
 *
 * O_NOFOLLOW does not help: Deno drops it for programs that may not do everything. So the name is
 * looked at before and after the file was opened, and must stand for the file that is open.
 */

/** What lies there is not what may be opened; the message says what it is. */
export class NotRegularError extends Error {
  override readonly name = "NotRegularError";
}

const { O_APPEND, O_NONBLOCK, O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;

/**
 * What a file is opened for. To be written to it may have no other name (hard link), under which it
 * would be somebody else's file. With "append" all that is written goes to its end.
 */
export type Access = "read" | "write" | "append";

const flagsFor: Readonly<Record<Access, number>> = {
  read: O_RDONLY,
  write: O_RDWR,
  append: O_RDWR | O_APPEND,
};

/** How often a file that somebody replaces by another one at this moment is looked at again. */
const tries = 10;

/**
 * Open a regular file that is there.
 *
 * @throws {NotRegularError} if it is anything else; errors of the system as they are
 */
export function openRegularFile(path: string, access: Access = "read"): number {
  for (let attempt = 0; attempt < tries; attempt++) {
    requireRegular(fs.lstatSync(path, { bigint: true }), access);
    const file = fs.openSync(path, flagsFor[access] | O_NONBLOCK | O_NOFOLLOW);
    try {
      const opened = fs.fstatSync(file, { bigint: true });
      if (isSameAt(path, opened)) {
        requireRegular(opened, access);
        return file;
      }
    } catch (error) {
      fs.closeSync(file);
      throw error;
    }
    fs.closeSync(file);
  }
  throw new NotRegularError("somebody keeps replacing it");
}

/**
 * Read a whole file.
 *
 * @throws {NotRegularError} if it is not a regular file, or has more bytes than that
 */
export function readRegularFile(path: string, maximumBytes: number): Uint8Array {
  const file = openRegularFile(path);
  try {
    const { size } = fs.fstatSync(file);
    if (size > maximumBytes) throw tooLarge(size, maximumBytes);
    // It may be growing, and some filesystems know no sizes.
    const bytes = new Uint8Array(Math.max(size, 4096) + 1);
    const length = readFully(file, bytes, 0);
    if (length > maximumBytes || length === bytes.length) throw tooLarge(length, maximumBytes);
    return bytes.subarray(0, length);
  } finally {
    fs.closeSync(file);
  }
}

/**
 * Fill a buffer from a position of a file.
 *
 * @returns how many bytes there were: fewer only at the end of the file
 */
export function readFully(file: number, buffer: Uint8Array, position: number): number {
  let length = 0;
  while (length < buffer.length) {
    const count = fs.readSync(file, buffer, length, buffer.length - length, position + length);
    if (count === 0) break;
    length += count;
  }
  return length;
}

function requireRegular(found: fs.BigIntStats, access: Access): void {
  if (!found.isFile()) {
    throw new NotRegularError(`it is ${kindOf(found)}, and not a regular file`);
  }
  if (access !== "read" && found.nlink > 1n) {
    throw new NotRegularError(`it has ${found.nlink} names (hard links): remove it, or copy it`);
  }
}

function kindOf(found: fs.BigIntStats): string {
  if (found.isSymbolicLink()) return "a symbolic link";
  if (found.isDirectory()) return "a folder";
  if (found.isFIFO()) return "a named pipe";
  if (found.isSocket()) return "a socket";
  return "a device";
}

function tooLarge(bytes: number, maximumBytes: number): NotRegularError {
  return new NotRegularError(`it has ${bytes} bytes, more than ${maximumBytes}`);
}
