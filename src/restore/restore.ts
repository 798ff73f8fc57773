import { PlasmaError, UsageError } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { isSubvolumeArchive, parseArchiveName } from "../rotation/archive_name.ts";
import type { ListedArchive, Store } from "../stores/mod.ts";
import type { Log } from "../system/log.ts";
import { Consumer, type Stage, strictStage } from "../system/pipeline.ts";
import { Progress } from "../system/progress.ts";
import { requireTool } from "../system/tools.ts";
import { DeepFolders } from "./deep.ts";
import { deepStage, extractStage, listStage, memberNames, tooLongNames } from "./extract.ts";
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
  context: RestoreContext,
): Promise<RestoreResult> {
  const kind = parseArchiveName(archive.name)!.kind;
  const decoders = await openDecoders(kind, identity);
  await requireTool("tar");
  const members = memberNames(paths);
  const last = await lastStage(purpose, members);
  const reading: Reading = { store, archive, decoders, purpose, ...context };
  const output = purpose.kind === "unpack" ? "ignore" : 1;
  const { read, warnings, tooLong } = await readInto(reading, last, output);
  if (tooLong !== undefined) await unpackDeep(reading, members, tooLong);
  // Of stored subvolumes the filesystem itself checks every block that is read.
  const isProven = read.isAsStored ?? isSubvolumeArchive(archive.name);
  if (!isProven && kind === "tar" && read.bytes > 0 && !read.framedLikeTar) {
    throw new PlasmaError("restore", `${archive.name} ends before it is complete`, {
      remedy: "what was unpacked is not all of it; try another archive",
    });
  }
  return { bytes: read.bytes, sha256: read.sha256, isProven, warnings };
}

/** What it takes to read an archive to its end. */
interface Reading extends RestoreContext {
  readonly store: Store;
  readonly archive: ListedArchive;
  readonly decoders: readonly Stage[];
  readonly purpose: RestoreOrder["purpose"];
}

interface ReadOutcome {
  readonly read: ReadResult;
  readonly warnings: readonly string[];
  /** All was unpacked but names that are too long for the kernel. */
  readonly tooLong: PlasmaError | undefined;
}

/**
 * Read an archive to its end into a program.
 *
 * @param output where the program's output goes; a function is told each line
 */
async function readInto(
  { store, archive, decoders, purpose, log, signal, folder }: Reading,
  last: Stage,
  output: number | "ignore" | ((line: string) => void),
): Promise<ReadOutcome> {
  await using download = await store.fetch(archive.name, folder);
  const stdout = typeof output === "function" ? "pipe" : output;
  await using consumer = await Consumer.start([...decoders, last], folder, stdout);
  const lines = typeof output === "function" ? eachLine(consumer.output, output) : undefined;
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
    const ending = await finish(consumer, read);
    await lines;
    return { read, ...ending };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

async function eachLine(
  output: AsyncIterable<Uint8Array>,
  use: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of output) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    lines.forEach(use);
  }
}

/** Unpack what is too deep to be reached from the target: look for it, and go down to it. */
async function unpackDeep(
  reading: Reading,
  members: readonly string[],
  tooLong: PlasmaError,
): Promise<void> {
  const { purpose, log } = reading;
  // What is unpacked again is removed first: nothing of the user's may be among it.
  if (purpose.kind !== "unpack" || purpose.intoExisting) throw tooLong;
  log.info("some names are too long for the kernel: reading the archive again for them");
  const deep = new DeepFolders(members);
  await readInto(reading, listStage(members), (name) => deep.add(name));
  if (!deep.isComplete) throw tooLong;
  const target = await Deno.realPath(purpose.target);
  for (const one of deep.all) {
    const { tooLong: left } = await readInto(reading, deepStage(target, one), "ignore");
    if (left !== undefined && !deep.goesOn(one)) throw left;
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
async function finish(
  consumer: Consumer,
  { bytes }: ReadResult,
): Promise<Pick<ReadOutcome, "warnings" | "tooLong">> {
  try {
    const warnings = bytes === 0 ? [] : await consumer.finish();
    return { warnings, tooLong: undefined };
  } catch (error) {
    if (!(error instanceof PlasmaError) || error.code !== tooLongNames) throw error;
    return { warnings: [], tooLong: error };
  }
}
