import * as v from "valibot";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { removeIfPresent, writeDurably } from "../system/durable.ts";
import { isLocked } from "../system/lock.ts";
import type { Transfer } from "../system/pump.ts";
import { readRegularFile } from "../system/regular_file.ts";
import { type RunId, runOwner } from "../system/run_id.ts";
import type { FileIdentity } from "../system/same_file.ts";
import { sidecarSuffix } from "../rotation/archive_name.ts";
import { readSidecar } from "./sidecar.ts";
import type { StorageFolder } from "./folder.ts";
import { recordsName } from "./records.ts";
import { requireHardLinks } from "./hard_links.ts";
import { requirePlace, type UploadLimits } from "./upload_limits.ts";
import { lockWaitSeconds, UploadLock } from "./upload_lock.ts";

export { lockWaitSeconds };

/**
 * Uploads under way, in `.plasma/incoming/` of a storage folder:
 * - `<run id>.part` holds the bytes. Its lock is that of the upload: only who holds it writes the
 *   upload, commits it or removes it;
 * - `<run id>.received` says that all of them came, were brought to the disk, their size and SHA-256,
 *   and which file they are in: without it nothing is committed;
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

/** An upload of this run exists: each attempt needs an id of its own. */
const inUse = (message: string) => new PlasmaError("storage", message, { code: "in-use" });

/** The upload that this process is writing. */
export class IncomingUpload implements Disposable {
  readonly #lock: UploadLock;
  readonly #files: ReturnType<typeof incomingFiles>;
  #completed = false;

  private constructor(lock: UploadLock, files: ReturnType<typeof incomingFiles>) {
    this.#lock = lock;
    this.#files = files;
  }

  /** The path of the file that takes the bytes. */
  get path(): string {
    return this.#files.part;
  }

  /** The same file, open for writing. */
  get file(): number {
    return this.#lock.file;
  }

  /** What the file is known by. */
  get identity(): FileIdentity {
    return this.#lock.identity;
  }

  /**
   * Begin an upload.
   *
   * @throws {PlasmaError} "in-use" if the run has one already, "max-uploads" if there are too many
   */
  static async begin(
    folder: StorageFolder,
    id: RunId,
    limits: UploadLimits = {},
  ): Promise<IncomingUpload> {
    folder.prepare();
    await removeDeadUploads(folder, id);
    const files = incomingFiles(folder, id);
    try {
      const upload = new IncomingUpload(await UploadLock.create(files.part), files);
      try {
        // What a power cut has left of an earlier one must not be taken for a part of this one.
        await removeFiles(folder, id, "but its bytes");
        requireHardLinks(files.part, folder.path);
        // Only now: of those that begin at the same time each sees the others.
        await requirePlace(() => countOthers(folder, id), limits);
        return upload;
      } catch (error) {
        upload[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      if (error instanceof PlasmaError) throw error;
      if (errorCode(error) === "EEXIST") throw inUse("there is an upload of this run already");
      throw new PlasmaError("storage", `cannot write to ${folder.path}: ${reasonOf(error)}`, {
        code: errorCode(error) ?? "failed",
        cause: error,
      });
    }
  }

  /** Record that all bytes came and are on the disk: the upload can now be committed. */
  complete({ bytes, sha256 }: Transfer): void {
    const { size } = this.#lock;
    if (size !== bytes) {
      throw new PlasmaError("storage", `the upload has ${size} bytes, not ${bytes}`);
    }
    const inode = String(this.identity.ino);
    try {
      writeDurably(this.#files.received, JSON.stringify({ bytes, sha256, inode }) + "\n");
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
    if (!this.#completed) this.#lock.remove();
    this.#lock[Symbol.dispose]();
  }
}

/** What was recorded of a completed upload. */
export interface ReceivedFile extends Transfer {
  /** That of the file that was hashed; another file of the same name is not the upload. */
  readonly inode: string;
}

const receivedSchema = v.object({ bytes: v.number(), sha256: v.string(), inode: v.string() });

/** A record has less. */
const maximumRecord = 4096;

/** What was recorded of a completed upload; undefined if it was never completed. */
export function readReceived(folder: StorageFolder, id: RunId): ReceivedFile | undefined {
  try {
    const bytes = readRegularFile(incomingFiles(folder, id).received, maximumRecord);
    const record = v.safeParse(receivedSchema, JSON.parse(new TextDecoder().decode(bytes)));
    return record.success ? record.output : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Remove what an upload has left; waits a little for a dying process that still writes it.
 *
 * @throws {PlasmaError} "in-use" if it is being written or committed: it stays
 */
export async function removeUpload(folder: StorageFolder, id: RunId): Promise<void> {
  if (!uploadsIn(folder).has(id)) return;
  using lock = await UploadLock.take(incomingFiles(folder, id).part, lockWaitSeconds);
  if (lock === undefined) throw inUse("the upload is being written or committed");
  await removeFiles(folder, id);
}

/**
 * A completed upload is committed within moments: nobody comes back to one that is older than this,
 * whoever began it.
 */
const commitGraceMs = 600_000;

/**
 * Remove the uploads of dead runs, whoever began them. Files that are not named as plasma names
 * uploads, uploads that a process still writes, and those that may be about to be committed, are left
 * alone. What cannot be removed is in nobody's way: it does not count as an upload any more, and
 * `plasma status` names it.
 */
export async function removeDeadUploads(folder: StorageFolder, own: RunId): Promise<void> {
  for (const id of uploadsIn(folder)) {
    if (id === own || isWaiting(folder, id)) continue;
    try {
      using lock = await UploadLock.take(incomingFiles(folder, id).part, 0);
      // Meanwhile it may have been completed. Where there was no file, nobody did anything.
      if (lock !== undefined && (lock.isNew || !isWaiting(folder, id))) {
        await removeFiles(folder, id);
      }
    } catch {
      // As above.
    }
  }
}

/** May be about to be committed. */
const isWaiting = (folder: StorageFolder, id: RunId) =>
  isNearlyDone(folder, id) && !isOlder(folder, id, commitGraceMs);

/** Everything of it has been received, or subvolumes that are complete, each by itself. */
function isNearlyDone(folder: StorageFolder, id: RunId): boolean {
  const { received, subvolumes } = incomingFiles(folder, id);
  return readReceived(folder, id) !== undefined || isPresent(`${subvolumes}/${recordsName}`) ||
    (isPresent(subvolumes) && isPresent(received));
}

/** The ids of all uploads in a folder, whether they are under way or dead. */
function uploadsIn(folder: StorageFolder): Set<RunId> {
  const ids = new Set<RunId>();
  if (!isPresent(folder.incoming)) return ids;
  for (const { name } of Deno.readDirSync(folder.incoming)) {
    const id = name.replace(/\.(?:part|received|sha256|btrfs)$/, "");
    if (id !== name && runOwner(id) !== undefined) ids.add(id);
  }
  return ids;
}

/** How many uploads beside that of a run are being written, or may be about to be committed. */
export async function countOthers(folder: StorageFolder, own: RunId): Promise<number> {
  let others = 0;
  for (const id of uploadsIn(folder)) {
    if (id !== own && !await isTorn(folder, id)) others++;
  }
  return others;
}

/** How many uploads lie about that no process writes any more. Changes nothing. */
export async function countTornUploads(folder: StorageFolder): Promise<number> {
  let torn = 0;
  for (const id of uploadsIn(folder)) {
    if (await isTorn(folder, id)) torn++;
  }
  return torn;
}

const isTorn = async (folder: StorageFolder, id: RunId) =>
  !isWaiting(folder, id) && !await isLocked(incomingFiles(folder, id).part);

/**
 * Remove the files of an upload, whose lock the caller holds; of a committed one only what is not the
 * archive. The file with the bytes goes last: as long as it is there, nobody can begin anew.
 */
export async function removeFiles(
  folder: StorageFolder,
  id: RunId,
  which: "all" | "but its bytes" = "all",
): Promise<void> {
  const { part, received, sidecar, subvolumes } = incomingFiles(folder, id);
  removeUnusedSidecar(folder, sidecar);
  if (isPresent(subvolumes)) {
    const { removeSubvolumeFolder } = await import("./incoming_subvolumes.ts");
    await removeSubvolumeFolder(subvolumes);
  }
  for (const path of [received, sidecar]) removeIfPresent(path);
  if (which === "all") removeIfPresent(part);
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

/** True if there is something of that name, or we may not look. */
export function isPresent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    return errorCode(error) !== "ENOENT";
  }
}

/** True if nothing of an upload was touched for so long. */
function isOlder(folder: StorageFolder, id: RunId, milliseconds: number): boolean {
  const files = incomingFiles(folder, id);
  return [...Object.values(files), `${files.subvolumes}/${recordsName}`].every((path) => {
    try {
      return Date.now() - (Deno.lstatSync(path).mtime?.getTime() ?? 0) > milliseconds;
    } catch {
      return true;
    }
  });
}
