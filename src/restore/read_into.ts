import { PlasmaError } from "../errors.ts";
import { isSubvolumeArchive } from "../rotation/archive_name.ts";
import type { ListedArchive, Store } from "../stores/mod.ts";
import type { Log } from "../system/log.ts";
import { Consumer, type Stage } from "../system/pipeline.ts";
import { Progress } from "../system/progress.ts";
import { longestName } from "./deep.ts";
import { readArchive, type ReadResult } from "./read_archive.ts";

/** What it takes to read an archive to its end. */
export interface Reading {
  readonly store: Store;
  readonly archive: ListedArchive;
  readonly decoders: readonly Stage[];
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A private folder for pipes. */
  readonly folder: string;
  /** What to do about an archive that is not what was stored. */
  readonly remedy: string;
  /** If it is read several times: the SHA-256 of what was read, which must stay the same. */
  readonly seen?: Set<string>;
}

/** Takes a line, and says until when no further one shall come. It throws nothing. */
export type LineUser = (line: string) => void | Promise<void>;

/** What came of a reading. */
export interface ReadOutcome {
  readonly read: ReadResult;
  /** False if no checksum was recorded when the archive was stored. */
  readonly isProven: boolean;
  readonly warnings: readonly string[];
  /** What went wrong in the programs that took the bytes. */
  readonly failure: PlasmaError | undefined;
}

/**
 * Read an archive to its end into a program.
 *
 * @param output where the program's output goes; a function is told each line
 * @throws {PlasmaError} if the archive cannot be read, or is not what was stored
 */
export async function readInto(
  reading: Reading,
  last: Stage,
  output: number | "ignore" | LineUser,
): Promise<ReadOutcome> {
  const { store, archive, decoders, log, signal, folder } = reading;
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
    const update = (bytes: number) => progress.update(bytes);
    const read = await readArchive(download, consumer, update, signal);
    signal.throwIfAborted();
    requireAsStored(read, reading);
    requireSame(read, reading);
    const { warnings, failure } = await finish(consumer, read);
    signal.throwIfAborted();
    await lines;
    // Of stored subvolumes the filesystem itself checks every block that is read.
    const isProven = read.isAsStored ?? isSubvolumeArchive(archive.name);
    return { read, isProven, warnings, failure: failure ?? incomplete(read, reading, isProven) };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

/** Of lines beyond {@link longestName} only the beginning is kept, which is beyond it too. */
async function eachLine(output: AsyncIterable<Uint8Array>, use: LineUser): Promise<void> {
  const decoder = new TextDecoder();
  let line = "";
  for await (const chunk of output) {
    const [first, ...more] = decoder.decode(chunk, { stream: true }).split("\n");
    if (line.length <= longestName) line += first;
    for (const next of more) {
      const wait = use(line);
      if (wait !== undefined) await wait;
      line = next;
    }
  }
}

function requireAsStored(
  { isAsStored, sha256, expected }: ReadResult,
  { archive, remedy }: Reading,
): void {
  if (isAsStored !== false) return;
  throw new PlasmaError(
    "restore",
    `${archive.name} is not what was stored: its SHA-256 is ${sha256}, not ${expected}`,
    { code: "damaged", remedy },
  );
}

function requireSame({ sha256 }: ReadResult, { archive, remedy, seen }: Reading): void {
  // Of stored subvolumes a tar is made anew each time.
  if (seen === undefined || isSubvolumeArchive(archive.name)) return;
  if (seen.add(sha256).size === 1) return;
  throw new PlasmaError(
    "restore",
    `${archive.name} changed between two readings: its SHA-256 was ${[...seen].join(", then ")}`,
    { code: "damaged", remedy },
  );
}

async function finish(
  consumer: Consumer,
  { bytes }: ReadResult,
): Promise<Pick<ReadOutcome, "warnings" | "failure">> {
  // The archive of the strategy noop is an empty file, which tar does not like.
  if (bytes === 0) return { warnings: [], failure: undefined };
  try {
    return { warnings: await consumer.finish(), failure: undefined };
  } catch (error) {
    if (!(error instanceof PlasmaError)) throw error;
    return { warnings: [], failure: error };
  }
}

/** A tar that was cut between two members looks whole to tar itself. */
function incomplete(
  { bytes, framedLikeTar, isEmptyTar }: ReadResult,
  { archive, decoders }: Reading,
  isProven: boolean,
): PlasmaError | undefined {
  if (isProven || decoders.length > 0) return undefined;
  if (bytes === 0 || framedLikeTar || isEmptyTar) return undefined;
  return new PlasmaError("restore", `${archive.name} ends before it is complete`, {
    remedy: "what was unpacked is not all of it; try another archive",
  });
}
