import fs from "node:fs";
import { errorCode } from "../errors.ts";
import { createPrivate, removeIfPresent } from "../system/durable.ts";
import { lockOpenFile } from "../system/lock.ts";
import { openRegularFile } from "../system/regular_file.ts";
import { type FileIdentity, identityOf, isSameAt } from "../system/same_file.ts";

/** How long to wait for the lock of an upload, which others may be looking at. */
export const lockWaitSeconds = 5;

/** How often an upload is looked at anew that is removed and begun meanwhile. */
const tries = 100;

/** How long to wait before that, in milliseconds. */
const pauseMs = 10;

/**
 * The lock of an upload: of the file that takes its bytes. Whoever writes an upload, commits it or
 * removes it holds the lock, and as long as he does, the name stands for this file.
 */
export class UploadLock implements Disposable {
  readonly identity: FileIdentity;
  #isOpen = true;

  private constructor(
    /** The path of the file. */
    readonly path: string,
    /** The file, open for reading and, if it is new, for writing. */
    readonly file: number,
    /** There was none. */
    readonly isNew: boolean,
  ) {
    this.identity = identityOf(file);
  }

  /** Make the file of a new upload and lock it. Throws EEXIST if there is one. */
  static async create(path: string): Promise<UploadLock> {
    for (let attempt = 0; attempt < tries; attempt++) {
      const file = attempt === 0 ? createPrivate(path) : createIfFree(path);
      if (file === undefined) {
        // Others who have seen the last one make one of their own, to remove what it left.
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        continue;
      }
      // Who looks for dead uploads may be faster, and take it for one.
      const state = await lockFile(path, file, lockWaitSeconds);
      if (state === "ours") return new UploadLock(path, file, true);
      if (state === "held") break;
    }
    throw new Error("others keep the new upload locked, or remove it");
  }

  /**
   * Lock the file of an upload that exists; for one of which only other files are left it is made.
   *
   * @returns undefined if somebody holds the lock
   */
  static async take(path: string, waitSeconds: number): Promise<UploadLock | undefined> {
    for (let attempt = 0; attempt < tries; attempt++) {
      const existing = openIfThere(path);
      const file = existing ?? createIfFree(path);
      if (file === undefined) continue;
      const state = await lockFile(path, file, waitSeconds);
      if (state === "ours") return new UploadLock(path, file, existing === undefined);
      if (state === "held") return undefined;
    }
    return undefined;
  }

  /** How many bytes the file has. */
  get size(): number {
    return fs.fstatSync(this.file).size;
  }

  /** The upload has just been worked on: that makes it young again, see removeDeadUploads(). */
  touch(): void {
    const now = new Date();
    fs.futimesSync(this.file, now, now);
  }

  /** Remove the file; with it the upload is gone. */
  remove(): void {
    if (this.#isOpen && isSameAt(this.path, this.identity)) removeIfPresent(this.path);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    fs.closeSync(this.file);
  }
}

/** Lock an open file; it is closed unless it is ours now, and still the one at its path. */
async function lockFile(
  path: string,
  file: number,
  waitSeconds: number,
): Promise<"ours" | "held" | "gone"> {
  let state: "ours" | "held" | "gone" = "gone";
  try {
    const isLocked = await lockOpenFile(file, waitSeconds);
    if (isSameAt(path, identityOf(file))) state = isLocked ? "ours" : "held";
  } finally {
    if (state !== "ours") fs.closeSync(file);
  }
  return state;
}

function openIfThere(path: string): number | undefined {
  try {
    return openRegularFile(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return undefined;
  }
}

function createIfFree(path: string): number | undefined {
  try {
    return createPrivate(path);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    return undefined;
  }
}
