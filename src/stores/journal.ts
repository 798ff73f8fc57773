import fs from "node:fs";
import { openPrivate } from "../system/durable.ts";
import type { RunId } from "../system/run_id.ts";

/** One line of a storage folder's journal. */
export interface JournalEntry {
  readonly event: "stored" | "deleted" | "verified";
  readonly archive: string;
  readonly run?: RunId;
  readonly bytes?: number;
  readonly sha256?: string;
  readonly reason?: string;
  /** What a verification found, see Verdict. */
  readonly state?: string;
}

/** An entry as it stands in the journal. */
export interface DatedEntry extends JournalEntry {
  /** In UTC, ISO 8601. */
  readonly time: string;
}

/**
 * Append to a journal, one JSON object a line with the time in UTC. The journal informs people: what
 * cannot be written is left out, and nothing is believed because it stands there.
 */
export function appendToJournal(path: string, entries: readonly JournalEntry[]): void {
  if (entries.length === 0) return;
  const time = Temporal.Now.instant().toString({ smallestUnit: "second" });
  const lines = entries.map((entry) => JSON.stringify({ time, ...entry }) + "\n").join("");
  try {
    const file = openPrivate(path);
    try {
      const size = fs.fstatSync(file).size;
      const text = endsInLine(file, size) ? lines : `\n${lines}`;
      fs.writeSync(file, new TextEncoder().encode(text), 0, undefined, size);
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
  } catch {
    // A full disk must not turn a good backup into a failed one.
  }
}

/** False if a power cut has torn the last line. */
function endsInLine(file: number, size: number): boolean {
  const last = new Uint8Array(1);
  return size === 0 || (fs.readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 10);
}

/** How far back a journal is read: enough for hundreds of entries. */
const tailBytes = 256 << 10;

/** The last entries of a journal, the newest first. */
export function readJournal(path: string): DatedEntry[] {
  return readTail(path).split("\n").reverse().flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as DatedEntry];
    } catch {
      return [];
    }
  });
}

/** The newest entry that says what a run has stored, if one of the last entries does. */
export function findStored(path: string, run: RunId): JournalEntry | undefined {
  return readJournal(path).find((entry) => entry.event === "stored" && entry.run === run);
}

function readTail(path: string): string {
  try {
    const file = fs.openSync(path, "r");
    try {
      const size = fs.fstatSync(file).size;
      const bytes = new Uint8Array(Math.min(size, tailBytes));
      const count = fs.readSync(file, bytes, 0, bytes.length, size - bytes.length);
      return new TextDecoder().decode(bytes.subarray(0, count));
    } finally {
      fs.closeSync(file);
    }
  } catch {
    return "";
  }
}
