import fs from "node:fs";
import { PlasmaError, reasonOf } from "../errors.ts";
import { openPrivate, removeIfPresent } from "./durable.ts";
import { run } from "./process.ts";
import { openRegularFile } from "./regular_file.ts";
import { identityOf, isSameAt } from "./same_file.ts";

/** How often a lock is taken anew whose file has been removed by who held it before. */
const takeTries = 100;

/**
 * Locks that the kernel releases when their process ends, however it ends.
 *
 * flock(1) locks the open file that it inherits from us; a flock(2) lock belongs to the open file
 * and not to the process, so it stays with us when flock(1) has ended. Deno itself offers no
 * flock(2) that gives up instead of waiting in all versions that plasma runs on.
 */
export class Lock implements Disposable {
  #file: number | undefined;
  /** Removed with the lock; undefined for a file that stays. */
  readonly #path: string | undefined;

  private constructor(file: number, path: string | undefined) {
    this.#file = file;
    this.#path = path;
  }

  /**
   * Lock the file at `path`, which is created if it does not exist.
   *
   * @returns undefined if another process holds the lock
   */
  static async take(
    path: string,
    { waitSeconds = 0, isTemporary = false }: {
      /** How long to wait for a lock that is held. */
      waitSeconds?: number;
      /** The file goes with the lock. */
      isTemporary?: boolean;
    } = {},
  ): Promise<Lock | undefined> {
    for (let attempt = 0; attempt < takeTries; attempt++) {
      const file = openLockFile(path);
      if (!await lockOpenFile(file, waitSeconds)) {
        fs.closeSync(file);
        return undefined;
      }
      // Who held the lock before may have removed the file that we have locked now.
      if (isSameAt(path, identityOf(file))) {
        return new Lock(file, isTemporary ? path : undefined);
      }
      fs.closeSync(file);
    }
    throw new PlasmaError("lock", `cannot lock ${path}: somebody keeps replacing it`);
  }

  [Symbol.dispose](): void {
    if (this.#file === undefined) return;
    if (this.#path !== undefined) removeIfPresent(this.#path);
    fs.closeSync(this.#file);
    this.#file = undefined;
  }
}

function openLockFile(path: string): number {
  try {
    return openPrivate(path);
  } catch (error) {
    throw new PlasmaError("lock", `cannot open ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Lock an open file for as long as it stays open; false if another process holds the lock. */
export async function lockOpenFile(file: number, waitSeconds = 0): Promise<boolean> {
  const wait = waitSeconds === 0 ? ["--nonblock"] : ["--wait", String(waitSeconds)];
  const { exit, messages } = await run({
    program: "flock",
    args: ["--exclusive", "--conflict-exit-code", "75", ...wait, "0"],
  }, { input: file });
  if (exit.code === 0) return true;
  if (exit.code === 75) return false;
  throw new PlasmaError("lock", `flock failed: ${messages.tail}`);
}

/** True if a process holds the lock of this file; false if there is no such regular file. */
export async function isLocked(path: string): Promise<boolean> {
  let file;
  try {
    file = openRegularFile(path);
  } catch {
    return false;
  }
  try {
    return !await lockOpenFile(file);
  } finally {
    fs.closeSync(file);
  }
}
