import { isNotFound } from "../errors.ts";
import { syncFolder, writeDurably } from "../system/durable.ts";
import { type CommitKind, refuseMismatch } from "./commit.ts";
import { incomingFiles } from "./incoming.ts";
import { readRecords } from "./incoming_subvolumes.ts";
import { formatManifest, manifestName, readManifest, type SubvolumeRecord } from "./manifest.ts";
import { syncFilesystem } from "./subvolume_archive.ts";

/** Received subvolumes are made an archive by one rename of the folder that holds them. */
export const subvolumeCommit: CommitKind = {
  async isReceived(folder, claim) {
    const records = readRecords(folder, claim.id);
    if (records === undefined) return false;
    if (isSame(records, claim.subvolumes ?? [])) return true;
    const of = `${records.length} of ${claim.subvolumes?.length ?? 0} subvolumes`;
    return await refuseMismatch(folder, claim, `${of}, or other ones`);
  },
  finishInterrupted(folder, contents, { id }) {
    const name = findByRun(contents, folder.path, id);
    if (name === undefined) return undefined;
    syncFolder(folder.path);
    return name;
  },
  async place(folder, claim, name) {
    const archive = `${folder.path}/${name}`;
    // rename(2) would replace an empty folder; under the folder's lock nobody makes one meanwhile.
    if (isPresent(archive)) return false;
    const { subvolumes } = incomingFiles(folder, claim.id);
    const manifest = `${subvolumes}/${manifestName}`;
    if (!isPresent(manifest)) {
      writeDurably(
        manifest,
        formatManifest({ version: 1, run: claim.id, subvolumes: [...claim.subvolumes ?? []] }),
      );
    }
    await syncFilesystem(folder.path);
    Deno.renameSync(subvolumes, archive);
    syncFolder(folder.path);
    return true;
  },
};

function findByRun(
  { archives }: { archives: readonly { name: string; kind: string }[] },
  path: string,
  id: string,
): string | undefined {
  return archives.filter(({ kind }) => kind === "btrfs")
    .find(({ name }) => readManifest(`${path}/${name}`)?.run === id)?.name;
}

function isSame(
  received: readonly SubvolumeRecord[],
  claimed: readonly SubvolumeRecord[],
): boolean {
  const key = ({ name, path, identity, bytes, sha256 }: SubvolumeRecord) =>
    JSON.stringify([name, path, identity, bytes, sha256]);
  const keys = new Set(received.map(key));
  return received.length === claimed.length && claimed.every((record) => keys.has(key(record)));
}

function isPresent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    return !isNotFound(error);
  }
}
