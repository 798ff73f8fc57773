import fs from "node:fs";
import { isNotFound } from "../errors.ts";
import { openPrivate } from "../system/durable.ts";
import { openRegularFile, readFully } from "../system/regular_file.ts";
import type { RunId } from "../system/run_id.ts";

/** One line of a storage folder's journal. */
export interface JournalEntry {
  readonly event: "stored" | "deleted" | "verified" | "accepted";
  readonly archive: string;
  readonly run?: RunId;
  /** Who has stored it, see Claim. */
  readonly agent?: string;
  readonly bytes?: number;
  readonly sha256?: string;
  readonly reason?: string;
  /** What a verification found, see Verdict. */
  readonly state?: string;
  /** Whether the archive was read through for it. */
  readonly deep?: boolean;
}

/** An entry as it stands in the journal. */
export interface DatedEntry extends JournalEntry {
  /** In UTC, ISO 8601. */
  readonly time: string;
}

/**
 * Append to a journal, one JSON object a line with the time in UTC. The journal informs people: what
 * cannot be written is left out.
 */
export function appendToJournal(path: string, entries: readonly JournalEntry[]): void {
  if (entries.length === 0) return;
  const time = Temporal.Now.instant().toString({ smallestUnit: "second" });
  const lines = entries.map((entry) => JSON.stringify({ time, ...entry }) + "\n").join("");
  try {
    const file = openPrivate(path, "append");
    try {
      giveToOwner(file, path);
      // In one piece, at the end: others may write at the same time.
      fs.writeSync(file, new TextEncoder().encode(endsInLine(file) ? lines : `\n${lines}`));
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
  } catch {
    // A full disk must not turn a good backup into a failed one.
  }
}

/**
 * Of the folder: if root makes it, he who stores there must be able to write to it. Only an empty one: he may
 * have put another file of root's in its place.
 */
function giveToOwner(file: number, path: string): void {
  if (Deno.uid() !== 0 || fs.fstatSync(file).size > 0) return;
  const { uid, gid } = fs.lstatSync(path.slice(0, path.lastIndexOf("/")));
  fs.fchownSync(file, uid, gid);
}

/** False if a power cut has torn the last line. */
function endsInLine(file: number): boolean {
  const { size } = fs.fstatSync(file);
  const last = new Uint8Array(1);
  return size === 0 || (fs.readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 10);
}

/**
 * The entries of a journal, the newest first. However long it is, it is read as far back as is asked
 * for, in little memory. Lines that are no entries are passed over.
 *
 * @param word only lines that contain it
 * @throws {Error} if there is a journal that cannot be read
 */
export function* readJournal(path: string, word: string): Generator<DatedEntry> {
  let file;
  try {
    file = openRegularFile(path);
  } catch (error) {
    if (isNotFound(error)) return;
    throw error;
  }
  try {
    for (const line of linesBackwards(file)) {
      const entry = line.includes(word) ? parseEntry(line) : undefined;
      if (entry !== undefined) yield entry;
    }
  } finally {
    fs.closeSync(file);
  }
}

/** The newest entry that says what a run has stored. */
export function findStored(path: string, run: RunId): JournalEntry | undefined {
  try {
    return readJournal(path, `"${run}"`).find(({ event, run: by }) =>
      event === "stored" && by === run
    );
  } catch {
    return undefined;
  }
}

function parseEntry(line: string): DatedEntry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<Record<keyof DatedEntry, unknown>> | null;
    const isEntry = typeof entry?.event === "string" && typeof entry.archive === "string" &&
      typeof entry.time === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(entry.time);
    return isEntry ? entry as DatedEntry : undefined;
  } catch {
    return undefined;
  }
}

/** How much of a journal is in memory at a time; no line is longer. */
const blockBytes = 128 << 10;

/** The lines of a file, the last one first. */
function* linesBackwards(file: number): Generator<string> {
  const block = new Uint8Array(blockBytes);
  const decoder = new TextDecoder();
  let end = fs.fstatSync(file).size;
  // The end of a line whose beginning has not been read yet.
  let rest = new Uint8Array();
  while (end > 0) {
    const start = Math.max(0, end - blockBytes);
    const read = block.subarray(0, readFully(file, block.subarray(0, end - start), start));
    const newline = start === 0 ? -1 : read.indexOf(10);
    const isInLine = start > 0 && newline < 0;
    if (!isInLine) {
      const text = decoder.decode(read.subarray(newline + 1), { stream: true }) +
        decoder.decode(rest);
      yield* text.split("\n").reverse();
      rest = new Uint8Array();
    }
    // A line of more than a block is none of ours: only that it is too long is kept of it.
    const head = isInLine ? read : read.subarray(0, Math.max(0, newline));
    rest = isInLine && rest.length + head.length > blockBytes ? tooLong : concatenate(head, rest);
    end = start;
  }
}

/** No JSON begins or ends with it. */
const tooLong = Uint8Array.of(0);

function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
