import { PlasmaError, UsageError } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { isSubvolumeArchive, parseArchiveName } from "../rotation/archive_name.ts";
import type { ListedArchive, Store } from "../stores/mod.ts";
import type { Log } from "../system/log.ts";
import { Consumer, type Stage, strictStage } from "../system/pipeline.ts";
import { Progress } from "../system/progress.ts";
import { requireTool } from "../system/tools.ts";
import { extractStage, listStage, memberNames } from "./extract.ts";
import { readArchive, type ReadResult } from "./read_archive.ts";
import { prepareTarget } from "./target.ts";

/** What is to be restored, and what is to become of it. */
export interface RestoreOrder {
  readonly archive: ListedArchive;
  /** Paths to restore; none stands for everything. */
  readonly paths: readonly string[];
  readonly purpose:
    | { readonly kind: "unpack"; readonly target: string; readonly intoExisting: boolean }
    /** Print the names of the members. */
    | { readonly kind: "list" }
    /** Write the plain tar to standard output. */
    | { readonly kind: "stream" };
  /** The file with the secret key, for an encrypted archive. */
  readonly identity: string | undefined;
}

export interface RestoreContext {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A private folder for pipes. */
  readonly folder: string;
}

/** How a restore ended. */
export interface RestoreResult {
  readonly bytes: number;
  readonly sha256: string;
  /** False if no checksum was recorded when the archive was stored. */
  readonly isProven: boolean;
  readonly warnings: readonly string[];
}

/**
 * Restore an archive.
 *
 * @throws {PlasmaError} if anything of it failed, or the archive is not what was stored: then
 * nothing that was unpacked is to be trusted
 */
export async function restore(
  store: Store,
  { archive, paths, purpose, identity }: RestoreOrder,
  { log, signal, folder }: RestoreContext,
): Promise<RestoreResult> {
  const kind = parseArchiveName(archive.name)!.kind;
  const decoders = await openDecoders(kind, identity);
  await requireTool("tar");
  const last = await lastStage(purpose, memberNames(paths));
  await using download = await store.fetch(archive.name, folder);
  const stdout = purpose.kind === "unpack" ? "ignore" : 1;
  await using consumer = await Consumer.start([...decoders, last], folder, stdout);
  const kill = () => {
    download.kill();
    consumer.kill();
  };
  signal.addEventListener("abort", kill);
  try {
    const progress = new Progress(log, archive.name, archive.bytes);
    const read = await readArchive(download, consumer, (bytes) => progress.update(bytes));
    signal.throwIfAborted();
    requireAsStored(read, archive.name, purpose);
    const warnings = await finish(consumer, read);
    // Of stored subvolumes the filesystem itself checks every block that is read.
    const isProven = read.isAsStored ?? isSubvolumeArchive(archive.name);
    if (!isProven && kind === "tar" && read.bytes > 0 && !read.framedLikeTar) {
      throw new PlasmaError("restore", `${archive.name} ends before it is complete`, {
        remedy: "what was unpacked is not all of it; try another archive",
      });
    }
    return { bytes: read.bytes, sha256: read.sha256, isProven, warnings };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

async function lastStage(
  purpose: RestoreOrder["purpose"],
  members: readonly string[],
): Promise<Stage> {
  switch (purpose.kind) {
    case "list":
      return listStage(members);
    case "stream":
      if (members.length === 0) return strictStage({ program: "cat", args: [] }, "restore");
      throw new UsageError("restore", "--target - streams the whole archive, without PATHs");
    case "unpack": {
      const target = await prepareTarget(purpose.target, purpose.intoExisting);
      return extractStage({ target, members });
    }
  }
}

function requireAsStored(
  { isAsStored, sha256, expected }: ReadResult,
  name: string,
  purpose: RestoreOrder["purpose"],
): void {
  if (isAsStored !== false) return;
  const remedy = purpose.kind === "unpack"
    ? `trust none of the files that were just unpacked into ${purpose.target}; try another archive`
    : "do not trust this output; try another archive";
  throw new PlasmaError(
    "restore",
    `${name} is not what was stored: its SHA-256 is ${sha256}, not ${expected}`,
    { code: "damaged", remedy },
  );
}

/** The archive of the strategy noop is an empty file, which tar does not like. */
async function finish(consumer: Consumer, { bytes }: ReadResult): Promise<readonly string[]> {
  return bytes === 0 ? [] : await consumer.finish();
}
