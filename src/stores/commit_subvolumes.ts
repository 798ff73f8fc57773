import fs from "node:fs";
import { isNotFound, PlasmaError } from "../errors.ts";
import { syncFolder, writeDurably } from "../system/durable.ts";
import { type CommitKind, refuseMismatch } from "./commit.ts";
import type { StorageFolder } from "./folder.ts";
import { incomingFiles } from "./incoming.ts";
import {
  digestOf,
  formatManifest,
  manifestName,
  readManifest,
  readSummary,
  streamBytes,
} from "./manifest.ts";
import { bringToDisk } from "./lost_writes.ts";
import type { Claim } from "./mod.ts";
import { arrivingFolder, readRecords } from "./records.ts";
import { removeSubvolumeFolder } from "./remove_subvolumes.ts";
import { lockWaitSeconds, UploadLock } from "./upload_lock.ts";

/** Received subvolumes are made an archive by one rename of the folder that holds them. */
export const subvolumeCommit: CommitKind = {
  async isReceived(folder, claim) {
    const { subvolumes } = incomingFiles(folder, claim.id);
    if (!isPresent(arrivingFolder(subvolumes))) return false;
    using _lock = await lockUpload(folder, claim);
    const records = readRecords(subvolumes);
    if (records !== undefined && digestOf(records) === claim.sha256) return true;
    return await refuseMismatch(folder, claim, "these are other subvolumes, or not all of them");
  },
  finishInterrupted(folder, contents, { id, bytes, sha256 }) {
    // As long as there is an upload it has not become an archive.
    if (isPresent(arrivingFolder(incomingFiles(folder, id).subvolumes))) return undefined;
    const name = findByRun(contents, folder.path, { id, bytes, sha256 });
    if (name === undefined) return undefined;
    syncFolder(folder.path);
    return name;
  },
  async place(folder, claim, name) {
    const archive = `${folder.path}/${name}`;
    // rename(2) would replace an empty folder; under the folder's lock nobody makes one meanwhile.
    if (isPresent(archive)) return false;
    using _lock = await lockUpload(folder, claim);
    const { subvolumes } = incomingFiles(folder, claim.id);
    const records = readRecords(subvolumes) ?? [];
    if (digestOf(records) !== claim.sha256) throw new Error("the upload has changed meanwhile");
    const arrived = arrivingFolder(subvolumes);
    const manifest = `${arrived}/${manifestName}`;
    const { id: run, bytes } = claim;
    await removeSubvolumeFolder(manifest);
    writeDurably(manifest, formatManifest({ version: 2, run, bytes, subvolumes: [...records] }));
    if (readManifest(arrived) === undefined) throw new Error("the manifest cannot be read again");
    await bringToDisk(folder.path, subvolumes);
    fs.renameSync(arrived, archive);
    syncFolder(folder.path);
    return true;
  },
};

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
