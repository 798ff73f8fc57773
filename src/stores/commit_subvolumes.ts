import fs from "node:fs";
import { btrfs } from "../btrfs/subvolumes.ts";
import { isNotFound, PlasmaError, reasonOf } from "../errors.ts";
import { syncFolder, writeDurably } from "../system/durable.ts";
import { type CommitKind, refuseMismatch } from "./commit.ts";
import type { FolderContents, StorageFolder } from "./folder.ts";
import { incomingFiles } from "./incoming.ts";
import {
  digestOf,
  formatManifest,
  manifestName,
  readManifest,
  readSummary,
  streamBytes,
  type SubvolumeRecord,
} from "./manifest.ts";
import type { Claim } from "./mod.ts";
import { arrivingFolder, readRecords } from "./records.ts";
import { removeSubvolumeFolder } from "./remove_subvolumes.ts";
import { lockWaitSeconds, UploadLock } from "./upload_lock.ts";

/** Received subvolumes are made an archive by one rename of the folder that holds them. */
export class SubvolumeCommit implements CommitKind, Disposable {
  /** Held from the moment on in which it was found that all has come. */
  #lock: UploadLock | undefined;
  #records: readonly SubvolumeRecord[] = [];

  async isReceived(folder: StorageFolder, claim: Claim): Promise<boolean> {
    const { subvolumes } = incomingFiles(folder, claim.id);
    if (!isPresent(arrivingFolder(subvolumes))) return false;
    this.#lock = await lockUpload(folder, claim);
    const records = readRecords(subvolumes);
    if (records === undefined || digestOf(records) !== claim.sha256) {
      return await refuseMismatch(folder, claim, "these are other subvolumes, or not all of them");
    }
    this.#records = records;
    return true;
  }

  finishInterrupted(
    folder: StorageFolder,
    contents: FolderContents,
    { id, bytes, sha256 }: Claim,
  ): string | undefined {
    // As long as there is an upload it has not become an archive.
    if (isPresent(arrivingFolder(incomingFiles(folder, id).subvolumes))) return undefined;
    const name = findByRun(contents, folder.path, { id, bytes, sha256 });
    if (name === undefined) return undefined;
    syncFolder(folder.path);
    return name;
  }

  async place(folder: StorageFolder, { id: run, bytes }: Claim, name: string): Promise<boolean> {
    const archive = `${folder.path}/${name}`;
    // rename(2) would replace an empty folder; under the folder's lock nobody makes one meanwhile.
    if (isPresent(archive)) return false;
    const upload = incomingFiles(folder, run).subvolumes;
    const arrived = arrivingFolder(upload);
    const manifest = `${arrived}/${manifestName}`;
    await removeSubvolumeFolder(manifest);
    const subvolumes = [...this.#records];
    writeDurably(manifest, formatManifest({ version: 2, run, bytes, subvolumes }));
    if (readManifest(arrived) === undefined) throw new Error("the manifest cannot be read again");
    fs.renameSync(arrived, archive);
    try {
      // All data are on the disk since they were received; this is for the manifest and the names.
      await btrfs(`bring ${folder.path} to the disk`, "filesystem", "sync", folder.path);
    } catch (error) {
      // What may not be on the disk must not be taken for a backup.
      renameIfPossible(archive, arrived);
      throw new PlasmaError("commit", reasonOf(error), { cause: error });
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#lock?.[Symbol.dispose]();
  }
}

/** On a filesystem that has become read-only what is on its disk counts, after the next mount. */
function renameIfPossible(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch {
    // As above.
  }
}

/** Keep others from receiving for an upload while it is looked at. */
async function lockUpload(folder: StorageFolder, { id }: Claim): Promise<UploadLock> {
  const lock = await UploadLock.take(incomingFiles(folder, id).part, lockWaitSeconds);
  if (lock !== undefined) return lock;
  throw new PlasmaError("commit", "subvolumes of this run are still being received", {
    code: "in-use",
  });
}

function findByRun(
  { archives }: { archives: readonly { name: string; kind: string }[] },
  path: string,
  { id, bytes, sha256 }: Pick<Claim, "id" | "bytes" | "sha256">,
): string | undefined {
  return archives.filter(({ kind }) => kind === "btrfs").find(({ name }) => {
    if (readSummary(`${path}/${name}`)?.run !== id) return false;
    const manifest = readManifest(`${path}/${name}`);
    return manifest !== undefined && streamBytes(manifest) === bytes &&
      digestOf(manifest.subvolumes) === sha256;
  })?.name;
}

function isPresent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    return !isNotFound(error);
  }
}
