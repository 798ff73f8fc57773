import { UsageError } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";
import type { ListedArchive, Store } from "../stores/mod.ts";
import type { Log } from "../system/log.ts";
import { type Stage, strictStage } from "../system/pipeline.ts";
import { requireTool } from "../system/tools.ts";
import { listStage } from "./extract.ts";
import { findMembers, memberNames } from "./find_members.ts";
import { readInto, type ReadOutcome } from "./read_into.ts";
import type { TargetOrder } from "./target.ts";
import { unpack, type UnpackReading } from "./unpack.ts";

/** What is to be restored, and what is to become of it. */
export interface RestoreOrder {
  readonly archive: ListedArchive;
  /** Paths to restore; none stands for everything. */
  readonly paths: readonly string[];
  readonly purpose:
    | { readonly kind: "unpack"; readonly target: TargetOrder }
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
  context: RestoreContext,
): Promise<RestoreResult> {
  const decoders = await openDecoders(parseArchiveName(archive.name)!.kind, identity);
  await requireTool("tar");
  const reading = { store, archive, decoders, ...context, seen: new Set<string>() };
  const names = memberNames(paths);
  const remedy = "nothing was unpacked; try another archive";
  const members = await findMembers({ ...reading, remedy }, names);
  const { read, isProven, warnings } = purpose.kind === "unpack"
    ? await unpack(reading, purpose.target, members)
    : await print(reading, outputStage(purpose.kind, members));
  return { bytes: read.bytes, sha256: read.sha256, isProven, warnings };
}

function outputStage(kind: "list" | "stream", members: readonly string[]): Stage {
  if (kind === "list") return listStage(members);
  if (members.length === 0) return strictStage({ program: "cat", args: [] }, "restore");
  throw new UsageError("restore", "--target - streams the whole archive, without PATHs");
}

/** Let a program write to our standard output. */
async function print(reading: UnpackReading, stage: Stage): Promise<ReadOutcome> {
  const remedy = "do not trust this output; try another archive";
  const outcome = await readInto({ ...reading, remedy }, stage, 1);
  if (outcome.failure !== undefined) throw outcome.failure;
  return outcome;
}
