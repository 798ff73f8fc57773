import fs from "node:fs";

/**
 * A file is known by its device and inode, and not by its name, which others may give to another
 * file meanwhile. As long as the file is open somewhere no other one gets its inode.
 */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** What an open file is known by. */
export function identityOf(file: number): FileIdentity {
  const { dev, ino } = fs.fstatSync(file, { bigint: true });
  return { dev, ino };
}

/** True if the file of that name is the very file; links are not followed. */
export function isSameAt(path: string, { dev, ino }: FileIdentity): boolean {
  try {
    const found = fs.lstatSync(path, { bigint: true });
    return found.dev === dev && found.ino === ino;
  } catch {
    return false;
  }
}

/**
 * Open a file by its name, if it is the very file. Deno does not hand O_NOFOLLOW on, so that one
 * looks before and after; O_NONBLOCK, because a FIFO that was put there would hold us up.
 *
 * @param flags as for open(2); O_TRUNC would destroy another file
 * @throws if another one has the name now
 */
export function openSame(path: string, flags: number, identity: FileIdentity): number {
  if (!isSameAt(path, identity)) throw new Error(`another file is at ${path} now`);
  const file = fs.openSync(path, flags | fs.constants.O_NONBLOCK);
  const found = identityOf(file);
  if (found.dev === identity.dev && found.ino === identity.ino) return file;
  fs.closeSync(file);
  throw new Error(`another file is at ${path} now`);
}
