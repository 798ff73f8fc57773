import fs from "node:fs";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { createPrivate, removeIfPresent, writeDurably } from "../system/durable.ts";
import { isLocked, lockOpenFile } from "../system/lock.ts";
import type { Transfer } from "../system/pump.ts";
import { isSameOwner, type RunId, runOwner } from "../system/run_id.ts";
import { sidecarSuffix } from "../rotation/archive_name.ts";
import { readSidecar } from "./sidecar.ts";
import type { StorageFolder } from "./folder.ts";

/**
 * Uploads under way, in `.plasma/incoming/` of a storage folder:
 * - `<run id>.part` holds the bytes, and is locked by the process that writes it;
 * - `<run id>.received` says that all of them came, were brought to the disk, and their size and
 *   SHA-256: without it nothing is committed;
 * - `<run id>.sha256` is the sidecar-to-be, only during a commit;
 * - `<run id>.btrfs/` holds received subvolumes; then the `.part` is empty, and only the lock.
 */
export function incomingFiles(folder: StorageFolder, id: RunId) {
  const base = `${folder.incoming}/${id}`;
  return {
    part: `${base}.part`,
    received: `${base}.received`,
    sidecar: `${base}.sha256`,
    subvolumes: `${base}.btrfs`,
  };
}

/** How long to wait for the lock of an upload, which others may be looking at. */
export const lockWaitSeconds = 5;

/** The upload that this process is writing. */
export class IncomingUpload implements Disposable {
  readonly #file: number;
  readonly #files: ReturnType<typeof incomingFiles>;
  #completed = false;

  private constructor(file: number, files: ReturnType<typeof incomingFiles>) {
    this.#file = file;
    this.#files = files;
  }

  /** The path of the file that takes the bytes. */
  get path(): string {
    return this.#files.part;
  }

  /** The same file, open for writing. */
  get file(): number {
    return this.#file;
  }

  /** Begin an upload. Throws if the run has one already. */
  static async begin(folder: StorageFolder, id: RunId): Promise<IncomingUpload> {
    folder.prepare();
    await removeDeadUploads(folder, id);
    const files = incomingFiles(folder, id);
    try {
      const upload = new IncomingUpload(createPrivate(files.part), files);
      try {
        // Whoever looks whether it is being written holds the lock for a moment.
        if (!await lockOpenFile(upload.file, lockWaitSeconds)) {
          throw new Error("the new upload is locked already");
        }
        requireHardLinks(files.part, folder.path);
        return upload;
      } catch (error) {
        upload[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      if (error instanceof PlasmaError) throw error;
      throw new PlasmaError("storage", `cannot write to ${folder.path}: ${reasonOf(error)}`, {
        code: errorCode(error) ?? "failed",
        cause: error,
      });
    }
  }

  /** Record that all bytes came and are on the disk: the upload can now be committed. */
  complete({ bytes, sha256 }: Transfer): void {
    const { size } = fs.fstatSync(this.#file);
    if (size !== bytes) {
      throw new PlasmaError("storage", `the upload has ${size} bytes, not ${bytes}`);
    }
    try {
      writeDurably(this.#files.received, JSON.stringify({ bytes, sha256 }) + "\n");
    } catch (error) {
      throw new PlasmaError("storage", `cannot store the upload: ${reasonOf(error)}`, {
        code: errorCode(error) ?? "failed",
        cause: error,
      });
    }
    this.#completed = true;
  }

  /** Let go of the upload; what was not completed is removed. */
  [Symbol.dispose](): void {
    fs.closeSync(this.#file);
    if (!this.#completed) removeIfPresent(this.#files.part);
  }
}

/** What was recorded of a completed upload; undefined if it was never completed. */
export function readReceived(folder: StorageFolder, id: RunId): Transfer | undefined {
  try {
    const { bytes, sha256 } = JSON.parse(
      Deno.readTextFileSync(incomingFiles(folder, id).received),
    ) as Transfer;
    return { bytes, sha256 };
  } catch {
    return undefined;
  }
}

/** Remove what an upload has left; waits a little for a dying process that still writes it. */
export async function removeUpload(folder: StorageFolder, id: RunId): Promise<void> {
  const { part } = incomingFiles(folder, id);
  let file;
  try {
    file = fs.openSync(part, "r");
    await lockOpenFile(file, lockWaitSeconds);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  } finally {
    if (file !== undefined) fs.closeSync(file);
  }
  await removeFiles(folder, id);
}

/** Nobody comes back to an upload that is older than this, whoever began it. */
const abandonedAfterMs = 7 * 86_400_000;

/**
 * Remove the uploads of dead runs: those of the same owner, whose lock the caller holds, and very
 * old ones. Files that are not named as plasma names uploads, and uploads that a process still
 * writes, are left alone.
 */
export async function removeDeadUploads(folder: StorageFolder, own: RunId): Promise<void> {
  for (const id of uploadsIn(folder)) {
    if (id === own) continue;
    const files = incomingFiles(folder, id);
    if (!isSameOwner(id, own) && !isOlder(Object.values(files), abandonedAfterMs)) continue;
    if (!await isLocked(files.part)) await removeFiles(folder, id);
  }
}

/** The ids of all uploads in a folder, whether they are under way or dead. */
function uploadsIn(folder: StorageFolder): Set<RunId> {
  const ids = new Set<RunId>();
  for (const { name } of Deno.readDirSync(folder.incoming)) {
    const id = name.replace(/\.(?:part|received|sha256|btrfs)$/, "");
    if (id !== name && runOwner(id) !== undefined) ids.add(id);
  }
  return ids;
}

/** A completed upload is committed within moments; after this many milliseconds it is torn too. */
const commitGraceMs = 600_000;

/** How many uploads lie about that no process writes any more. Changes nothing. */
export async function countTornUploads(folder: StorageFolder): Promise<number> {
  if (!isPresent(folder.incoming)) return 0;
  let torn = 0;
  for (const id of uploadsIn(folder)) {
    const { part, received } = incomingFiles(folder, id);
    const isNearlyDone = isPresent(received) && !isOlder([received], commitGraceMs);
    if (!isNearlyDone && !await isLocked(part)) torn++;
  }
  return torn;
}

/** Remove the files of an upload at once; of a committed one only what is not the archive. */
export async function removeFiles(folder: StorageFolder, id: RunId): Promise<void> {
  const { part, received, sidecar, subvolumes } = incomingFiles(folder, id);
  removeUnusedSidecar(folder, sidecar);
  if (isPresent(subvolumes)) {
    const { removeSubvolumeFolder } = await import("./incoming_subvolumes.ts");
    await removeSubvolumeFolder(subvolumes);
  }
  for (const path of [received, part, sidecar]) removeIfPresent(path);
}

/** A commit that was cut short may have put a sidecar in place, but no archive beside it. */
export function removeUnusedSidecar(folder: StorageFolder, sidecar: string): void {
  const name = readSidecar(sidecar)?.name;
  if (name === undefined) return;
  const placed = `${folder.path}/${name}${sidecarSuffix}`;
  if (isSameFile(placed, sidecar) && !isPresent(`${folder.path}/${name}`)) removeIfPresent(placed);
}

/** True if both paths are names of one file. */
export function isSameFile(a: string, b: string): boolean {
  try {
    const [left, right] = [Deno.lstatSync(a), Deno.lstatSync(b)];
    return left.dev === right.dev && left.ino === right.ino;
  } catch {
    return false;
  }
}

function isPresent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    return errorCode(error) !== "ENOENT";
  }
}

function isOlder(paths: readonly string[], milliseconds: number): boolean {
  return paths.every((path) => {
    try {
      return Date.now() - (Deno.lstatSync(path).mtime?.getTime() ?? 0) > milliseconds;
    } catch {
      return true;
    }
  });
}

/** Commits need link(2); better to know before the upload than after it. */
function requireHardLinks(part: string, folder: string): void {
  const probe = part.replace(/\.part$/, ".received");
  try {
    Deno.linkSync(part, probe);
    Deno.removeSync(probe);
  } catch (error) {
    throw new PlasmaError(
      "storage",
      `the filesystem of ${folder} cannot make hard links: ${reasonOf(error)}`,
      { remedy: "use a filesystem that can (ext4, btrfs, xfs ...)", cause: error },
    );
  }
}
