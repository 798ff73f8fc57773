import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { createPrivate, removeIfPresent, syncFolder } from "../system/durable.ts";
import type { StorageFolder } from "./folder.ts";
import { hardLinksError } from "./hard_links.ts";

/** What a probe that was killed has left begins so too. */
const prefix = "probe-";

/** Another probe may be at work: what it has made is younger, in milliseconds. */
const leftoverMs = 600_000;

/**
 * Make sure that an archive could be stored now: make a file, write, sync, link and remove it, as an upload
 * and its commit do. Leaves nothing.
 *
 * @throws {PlasmaError} that says what cannot be done, and why
 */
export function probeStorage(folder: StorageFolder): void {
  folder.prepare();
  const path = `${folder.incoming}/${prefix}${randomBytes(8).toString("hex")}`;
  try {
    removeLeftovers(folder);
    // There the archive gets its name.
    fs.accessSync(folder.path, fs.constants.W_OK | fs.constants.X_OK);
    const file = createPrivate(path);
    try {
      fs.writeSync(file, new Uint8Array(4096));
      fs.fsyncSync(file);
      link(path, folder);
    } finally {
      fs.closeSync(file);
      removeIfPresent(path);
    }
    syncFolder(folder.path);
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("storage", `cannot write to ${folder.path}: ${reasonOf(error)}`, {
      code: errorCode(error) ?? "failed",
      cause: error,
    });
  }
}

function link(path: string, folder: StorageFolder): void {
  try {
    Deno.linkSync(path, `${path}.link`);
  } catch (error) {
    if (errorCode(error) === "ENOSPC" || errorCode(error) === "EDQUOT") throw error;
    throw hardLinksError(folder.path, error);
  }
  Deno.removeSync(`${path}.link`);
}

function removeLeftovers(folder: StorageFolder): void {
  for (const { name, isFile } of Deno.readDirSync(folder.incoming)) {
    if (!isFile || !name.startsWith(prefix)) continue;
    const path = `${folder.incoming}/${name}`;
    const { mtimeMs } = fs.lstatSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Infinity };
    if (Date.now() - mtimeMs > leftoverMs) removeIfPresent(path);
  }
}

/** How much can still be stored, in bytes; undefined if the filesystem does not tell. */
export function freeBytes(folder: StorageFolder): number | undefined {
  try {
    const { bavail, bsize } = fs.statfsSync(folder.path);
    const bytes = bavail * bsize;
    return Number.isSafeInteger(bytes) ? bytes : undefined;
  } catch {
    return undefined;
  }
}
