import fs from "node:fs";
import { PlasmaError, reasonOf } from "../errors.ts";
import { openPrivate } from "./durable.ts";
import { run } from "./process.ts";

/**
 * Locks that the kernel releases when their process ends, however it ends.
 *
 * flock(1) locks the open file that it inherits from us; a flock(2) lock belongs to the open file
 * and not to the process, so it stays with us when flock(1) has ended. Deno itself offers no
 * flock(2) that gives up instead of waiting in all versions that plasma runs on.
 */
export class Lock implements Disposable {
  #file: number | undefined;

  private constructor(file: number) {
    this.#file = file;
  }

  /**
   * Lock the file at `path`, which is created if it does not exist.
   *
   * @param waitSeconds how long to wait for a lock that is held; 0 does not wait
   * @returns undefined if another process holds the lock
   */
  static async take(path: string, waitSeconds = 0): Promise<Lock | undefined> {
    let file;
    try {
      file = openPrivate(path);
    } catch (error) {
      throw new PlasmaError("lock", `cannot open ${path}: ${reasonOf(error)}`, { cause: error });
    }
    if (await lockOpenFile(file, waitSeconds)) return new Lock(file);
    fs.closeSync(file);
    return undefined;
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) fs.closeSync(this.#file);
    this.#file = undefined;
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

/** True if a process holds the lock of this file; false if the file does not exist. */
export async function isLocked(path: string): Promise<boolean> {
  let file;
  try {
    file = fs.openSync(path, "r");
  } catch {
    return false;
  }
  try {
    return !await lockOpenFile(file);
  } finally {
    fs.closeSync(file);
  }
}
