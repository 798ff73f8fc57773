import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { makePrivateFolder } from "../system/durable.ts";
import type { RunId } from "../system/run_id.ts";
import type { StorageFolder } from "./folder.ts";
import { countOthers, incomingFiles, isPresent, removeDeadUploads } from "./incoming.ts";
import { arrivingFolder } from "./records.ts";
import { removeSubvolumeFolder } from "./remove_subvolumes.ts";
import { requireBtrfsStorage } from "./stored_subvolumes.ts";
import { requirePlace, type UploadLimits } from "./upload_limits.ts";
import { lockWaitSeconds, UploadLock } from "./upload_lock.ts";

/**
 * Where subvolumes are received, `.plasma/incoming/<run id>.btrfs/`: the folder `in` is the archive in
 * the making, and all that a stream can reach. What it has brought beside what was announced is removed
 * at its end; the manifest is made by the commit.
 */
export function placesOf(storage: StorageFolder, id: RunId) {
  const { subvolumes, part, received } = incomingFiles(storage, id);
  const arriving = arrivingFolder(subvolumes);
  return { part, received, subvolumes, arriving, empty: `${subvolumes}/root` };
}
export type Places = ReturnType<typeof placesOf>;

/** Lock an upload by its `.part` file as others are, and make its folder. */
export async function openIncoming(
  storage: StorageFolder,
  id: RunId,
  { part, received, subvolumes }: Places,
  limits: UploadLimits,
): Promise<UploadLock> {
  storage.prepare();
  await requireBtrfsStorage(storage);
  await removeDeadUploads(storage, id);
  const lock = await UploadLock.take(part, lockWaitSeconds);
  if (lock === undefined) {
    throw new PlasmaError("storage", "another process works on the upload of this run", {
      code: "in-use",
    });
  }
  try {
    if (lock.size > 0 || isPresent(received)) {
      throw new PlasmaError("storage", "this run has an upload of another kind", {
        code: "protocol",
      });
    }
    if (!isPresent(subvolumes)) await requirePlace(() => countOthers(storage, id), limits);
    makePrivateFolder(subvolumes);
    return lock;
  } catch (error) {
    if (lock.isNew) lock.remove();
    lock[Symbol.dispose]();
    throw cannotWrite(storage, error);
  }
}

/** What cannot be removed the next upload removes. */
export async function removeTorn({ subvolumes }: Places, lock: UploadLock): Promise<void> {
  try {
    await removeSubvolumeFolder(subvolumes);
    lock.remove();
  } catch {
    // As above.
  }
}

/** As an error of the storage. */
export function cannotWrite(storage: StorageFolder, error: unknown): PlasmaError {
  if (error instanceof PlasmaError) return error;
  return new PlasmaError("storage", `cannot write to ${storage.path}: ${reasonOf(error)}`, {
    code: errorCode(error) ?? "failed",
    cause: error,
  });
}
