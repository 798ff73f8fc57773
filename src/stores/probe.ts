import fs from "node:fs";
import { errorCode, isNotFound, PlasmaError, reasonOf } from "../errors.ts";
import { createPrivate, removeIfPresent } from "../system/durable.ts";
import { isProbe, probeName, type StorageFolder } from "./folder.ts";
import { hardLinksError } from "./hard_links.ts";

/** So often another probe may take ours for a leftover. */
const mostTries = 5;

/**
 * Make sure that an archive could be stored now: make a file, write, sync, link and remove it, as an upload
 * and its commit do. Leaves nothing, and removes what a probe that was killed has left.
 *
 * @throws {PlasmaError} that says what cannot be done, and why
 */
export function probeStorage(folder: StorageFolder): void {
  folder.prepare();
  try {
    for (let attempt = 1;; attempt++) {
      for (const where of [folder.incoming, folder.path]) removeProbes(where);
      try {
        return probe(folder);
      } catch (error) {
        if (!isNotFound(error) || attempt === mostTries) throw error;
      }
    }
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("storage", `cannot write to ${folder.path}: ${reasonOf(error)}`, {
      code: errorCode(error) ?? "failed",
      cause: error,
    });
  }
}

function probe(folder: StorageFolder): void {
  const name = probeName();
  const path = `${folder.incoming}/${name}`;
  const file = createPrivate(path);
  try {
    fs.writeSync(file, new Uint8Array(4096));
    fs.fdatasyncSync(file);
    // Where an archive gets its name.
    link(path, `${folder.path}/${name}`, folder);
  } finally {
    fs.closeSync(file);
    removeIfPresent(path);
  }
}

function link(from: string, to: string, folder: StorageFolder): void {
  try {
    Deno.linkSync(from, to);
  } catch (error) {
    // By the others link(2) tells that the filesystem cannot, or some security module does not let us.
    if (!noLinks.includes(errorCode(error) ?? "") || isImmutable(folder)) throw error;
    throw hardLinksError(folder.path, error);
  }
  removeIfPresent(to);
}

const noLinks: readonly string[] = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK"];

/** Whether nothing can be made in a folder, link or not: that has the same error. */
function isImmutable({ path }: StorageFolder): boolean {
  const probe = `${path}/${probeName()}`;
  try {
    Deno.mkdirSync(probe, { mode: 0o700 });
    Deno.removeSync(probe);
    return false;
  } catch {
    return true;
  }
}

function removeProbes(folder: string): void {
  for (const { name, isFile } of Deno.readDirSync(folder)) {
    if (isFile && isProbe(name)) removeIfPresent(`${folder}/${name}`);
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
