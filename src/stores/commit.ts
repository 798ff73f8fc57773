import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import {
  formatArchiveName,
  hasSeconds,
  sidecarSuffix,
  type Stamp,
  stampOf,
} from "../rotation/archive_name.ts";
import { labelFor } from "../rotation/label.ts";
import { removeIfPresent, syncFolder, writeDurably } from "../system/durable.ts";
import { localNow } from "../system/local_time.ts";
import { isSameAt } from "../system/same_file.ts";
import type { FolderContents, StorageFolder } from "./folder.ts";
import {
  incomingFiles,
  isPresent,
  isSameFile,
  readReceived,
  removeFiles,
  removeUnusedSidecar,
} from "./incoming.ts";
import { appendToJournal, findStored } from "./journal.ts";
import type { Claim, Committed } from "./mod.ts";
import { formatSidecar, readSidecar } from "./sidecar.ts";
import { lockWaitSeconds, UploadLock } from "./upload_lock.ts";

/** The storage host's local time. */
export type Clock = () => Temporal.PlainDateTime | Promise<Temporal.PlainDateTime>;

export const systemClock: Clock = async () => (await localNow()).toPlainDateTime();

/**
 * Make a completed upload an archive: the commit protocol.
 *
 * Under the folder's lock the claim is compared with what came, the name is given, the sidecar is
 * put in place, then the archive, by link(2), which never overwrites; then the folder is brought to
 * the disk. Only then the caller may say that the archive is stored. Asked again for a run that was
 * committed, it answers the same.
 *
 * @throws {PlasmaError} if the upload is not what the claim says; it is removed then
 */
export async function commitUpload(
  folder: StorageFolder,
  claim: Claim,
  clock: Clock = systemClock,
): Promise<Committed> {
  using _lock = await folder.lock();
  if (claim.kind === "btrfs") {
    const { SubvolumeCommit } = await import("./commit_subvolumes.ts");
    using kind = new SubvolumeCommit();
    return await commitAs(kind, folder, claim, clock);
  }
  using upload = await lockUpload(folder, claim);
  return await commitAs(new FileCommit(upload), folder, claim, clock);
}

async function commitAs(
  kind: CommitKind,
  folder: StorageFolder,
  claim: Claim,
  clock: Clock,
): Promise<Committed> {
  const contents = folder.contents();
  try {
    let name = kind.finishInterrupted(folder, contents, claim);
    const wasInterrupted = name !== undefined;
    if (name === undefined) {
      if (!await kind.isReceived(folder, claim)) return committedBefore(folder, contents, claim);
      name = await publish(folder, contents, claim, kind, clock);
    }
    // Of one that was cut short it may be there.
    if (!wasInterrupted || findStored(folder.journal, claim.id)?.archive !== name) {
      appendToJournal(folder.journal, [{
        event: "stored",
        archive: name,
        run: claim.id,
        ...(claim.agent === undefined ? {} : { agent: claim.agent }),
        bytes: claim.bytes,
        sha256: claim.sha256,
      }]);
    }
    return { name, ...await tidyUp(folder, claim) };
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("commit", `cannot write to ${folder.path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Remove what is left of an upload that is an archive now. Last of all: by these files a commit that is
 * cut short is known again. What cannot be removed is in nobody's way; the next upload tries again.
 */
async function tidyUp(folder: StorageFolder, { id }: Claim): Promise<Pick<Committed, "problem">> {
  try {
    await removeFiles(folder, id);
    return {};
  } catch (error) {
    const why = error instanceof PlasmaError ? error.message : reasonOf(error);
    return { problem: `cannot remove what is left of the upload in ${folder.incoming}: ${why}` };
  }
}

/** How uploads of one kind are made archives. */
export interface CommitKind {
  /**
   * Whether there is an upload of this run. Throws, having removed it, if it is not what was claimed.
   */
  isReceived(folder: StorageFolder, claim: Claim): Promise<boolean>;
  /** The name of an archive that a commit of this run put in place before it was cut short. */
  finishInterrupted(
    folder: StorageFolder,
    contents: FolderContents,
    claim: Claim,
  ): string | undefined;
  /** Put an upload under its final name, durably; false if the name is taken. */
  place(folder: StorageFolder, claim: Claim, name: string): Promise<boolean> | boolean;
}

/** What arrived is not what was claimed: remove it, whose lock the caller holds, and say so. */
export async function refuseMismatch(
  folder: StorageFolder,
  claim: Claim,
  what: string,
): Promise<never> {
  await removeFiles(folder, claim.id);
  throw new PlasmaError("commit", `what arrived is not what was sent: ${what}; it was discarded`, {
    code: "mismatch",
  });
}

/** The upload, so that nobody writes or removes it meanwhile; undefined if none was completed. */
async function lockUpload(
  folder: StorageFolder,
  { id }: Claim,
): Promise<UploadLock | undefined> {
  const { part, received, sidecar } = incomingFiles(folder, id);
  // As long as it is being written it is not complete: no need to wait for its lock.
  if (!isPresent(received) && !isPresent(sidecar)) return undefined;
  const lock = await UploadLock.take(part, lockWaitSeconds);
  if (lock !== undefined) return lock;
  throw new PlasmaError("commit", "another process works on the upload of this run", {
    code: "in-use",
  });
}

/** How an upload that is one file is made an archive. */
class FileCommit implements CommitKind {
  constructor(readonly upload: UploadLock | undefined) {}

  async isReceived(folder: StorageFolder, claim: Claim): Promise<boolean> {
    const { upload } = this;
    if (isPresent(incomingFiles(folder, claim.id).subvolumes)) {
      throw new PlasmaError("commit", `what was received are subvolumes, and not ${claim.kind}`, {
        code: "kind",
      });
    }
    const received = upload === undefined ? undefined : readReceived(folder, claim.id);
    if (upload === undefined || received === undefined) return false;
    if (received.inode !== String(upload.identity.ino) || received.bytes !== upload.size) {
      return await refuseMismatch(folder, claim, "it is not the file that was received");
    }
    if (received.bytes === claim.bytes && received.sha256 === claim.sha256) return true;
    return await refuseMismatch(
      folder,
      claim,
      `${received.bytes} bytes with SHA-256 ${received.sha256} instead of ` +
        `${claim.bytes} with ${claim.sha256}`,
    );
  }

  finishInterrupted(
    folder: StorageFolder,
    { archives }: FolderContents,
    { id, sha256 }: Claim,
  ): string | undefined {
    const { sidecar } = incomingFiles(folder, id);
    const placed = readSidecar(sidecar);
    const name = archives.find((archive) => archive.name === placed?.name)?.name;
    if (name === undefined || placed?.sha256 !== sha256) return undefined;
    if (!isSameFile(sidecar, `${folder.path}/${name}${sidecarSuffix}`)) return undefined;
    syncFolder(folder.path);
    return name;
  }

  /** Put the upload and its sidecar under their final names; false if the name is taken. */
  place(folder: StorageFolder, claim: Claim, name: string): boolean {
    const { part, sidecar } = incomingFiles(folder, claim.id);
    const archive = `${folder.path}/${name}`;
    removeUnusedSidecar(folder, sidecar);
    removeIfPresent(sidecar);
    writeDurably(sidecar, formatSidecar({ sha256: claim.sha256, name }));
    if (!linkIfFree(sidecar, archive + sidecarSuffix)) return false;
    try {
      if (!linkIfFree(part, archive)) {
        Deno.removeSync(archive + sidecarSuffix);
        return false;
      }
    } catch (error) {
      Deno.removeSync(archive + sidecarSuffix);
      throw error;
    }
    try {
      if (!isSameAt(archive, this.upload!.identity)) throw new Error("the upload was replaced");
      syncFolder(folder.path);
    } catch (error) {
      // What may not be on the disk must not be taken for a backup.
      Deno.removeSync(archive);
      Deno.removeSync(archive + sidecarSuffix);
      throw error;
    }
    return true;
  }
}

/** The answer to a commit that was done before, its answer having been lost on the way. */
function committedBefore(folder: StorageFolder, contents: FolderContents, claim: Claim): Committed {
  const entry = findStored(folder.journal, claim.id);
  const isThere = contents.archives.some(({ name }) => name === entry?.archive);
  if (entry !== undefined && isThere && entry.sha256 === claim.sha256) {
    return { name: entry.archive };
  }
  throw new PlasmaError("commit", "there is no complete upload of this run", { code: "no-upload" });
}

/** How often a free name is looked for; one second passes between two tries. */
const nameTries = 100;

async function publish(
  folder: StorageFolder,
  { archives }: FolderContents,
  claim: Claim,
  kind: CommitKind,
  clock: Clock,
): Promise<string> {
  const stamps = new Set<Stamp>(archives.map(({ stamp }) => stamp));
  const seconds = new Set(archives.filter(hasSeconds).map(({ stamp }) => stamp));
  const minutes = new Set(archives.map(({ stamp }) => stamp.slice(0, 12)));
  for (let attempt = 0; attempt < nameTries; attempt++) {
    const now = await clock();
    const stamp = stampOf(now);
    const label = labelFor(now, stamps, folder.policy);
    const withoutSeconds = attempt === 0 && !minutes.has(stamp.slice(0, 12));
    for (const withSeconds of withoutSeconds ? [false, true] : [true]) {
      if (withSeconds && seconds.has(stamp)) continue;
      const name = formatArchiveName({ stamp, label, kind: claim.kind }, withSeconds);
      if (await kind.place(folder, claim, name)) return name;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new PlasmaError("commit", `found no free name in ${folder.path}`);
}

function linkIfFree(from: string, to: string): boolean {
  try {
    Deno.linkSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}
