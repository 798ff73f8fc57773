import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { formatArchiveName, sidecarSuffix, type Stamp, stampOf } from "../rotation/archive_name.ts";
import { labelFor } from "../rotation/label.ts";
import { removeIfPresent, syncFolder, writeDurably } from "../system/durable.ts";
import type { FolderContents, StorageFolder } from "./folder.ts";
import { incomingFiles, isSameFile, readReceived, removeFiles, removeUpload } from "./incoming.ts";
import { appendToJournal, findStored } from "./journal.ts";
import type { Claim, Committed } from "./mod.ts";
import { formatSidecar, readSidecar } from "./sidecar.ts";

/** The storage host's local time. */
export type Clock = () => Temporal.PlainDateTime;

export const systemClock: Clock = () => Temporal.Now.plainDateTimeISO();

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
  const contents = folder.contents();
  const received = readReceived(folder, claim.id);
  if (received === undefined) return committedBefore(folder, contents, claim);
  if (received.bytes !== claim.bytes || received.sha256 !== claim.sha256) {
    await removeUpload(folder, claim.id);
    throw new PlasmaError(
      "commit",
      `what arrived is not what was sent: ${received.bytes} bytes with SHA-256 ${received.sha256} ` +
        `instead of ${claim.bytes} with ${claim.sha256}; it was discarded`,
      { code: "mismatch" },
    );
  }
  try {
    const name = finishInterrupted(folder, claim) ?? await publish(folder, contents, claim, clock);
    appendToJournal(folder.journal, [{
      event: "stored",
      archive: name,
      run: claim.id,
      bytes: claim.bytes,
      sha256: claim.sha256,
    }]);
    return { name };
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("commit", `cannot write to ${folder.path}: ${reasonOf(error)}`, {
      cause: error,
    });
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

/** The name of an archive that a commit of this run put in place before it was cut short. */
function finishInterrupted(folder: StorageFolder, { id }: Claim): string | undefined {
  const { part, sidecar } = incomingFiles(folder, id);
  const name = readSidecar(sidecar)?.name;
  if (name === undefined || !isSameFile(part, `${folder.path}/${name}`)) return undefined;
  syncFolder(folder.path);
  removeFiles(folder, id);
  return name;
}

/** How often a free name is looked for; one second passes between two tries. */
const nameTries = 100;

async function publish(
  folder: StorageFolder,
  { archives }: FolderContents,
  claim: Claim,
  clock: Clock,
): Promise<string> {
  const stamps = new Set<Stamp>(archives.map(({ stamp }) => stamp));
  const minutes = new Set(archives.map(({ stamp }) => stamp.slice(0, 12)));
  for (let attempt = 0; attempt < nameTries; attempt++) {
    const now = clock();
    const stamp = stampOf(now);
    const label = labelFor(now, stamps, folder.policy);
    const withoutSeconds = attempt === 0 && !minutes.has(stamp.slice(0, 12));
    for (const seconds of withoutSeconds ? [false, true] : [true]) {
      if (seconds && stamps.has(stamp)) continue;
      const name = formatArchiveName({ stamp, label, kind: claim.kind }, seconds);
      if (place(folder, claim, name)) return name;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new PlasmaError("commit", `found no free name in ${folder.path}`);
}

/** Put an upload and its sidecar under their final names; false if the name is taken. */
function place(folder: StorageFolder, claim: Claim, name: string): boolean {
  const { part, sidecar } = incomingFiles(folder, claim.id);
  const archive = `${folder.path}/${name}`;
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
    syncFolder(folder.path);
  } catch (error) {
    // What may not be on the disk must not be taken for a backup.
    Deno.removeSync(archive);
    Deno.removeSync(archive + sidecarSuffix);
    throw error;
  }
  removeFiles(folder, claim.id);
  return true;
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
