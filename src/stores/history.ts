import { type DatedEntry, readJournal } from "./journal.ts";

/** What a journal tells of archives that were stored, be they deleted since. */
export interface History {
  /** The newest first. */
  readonly stored: readonly StoredEntry[];
  /** Archives whose size was accepted as the new normal. */
  readonly accepted: ReadonlySet<string>;
}

export interface StoredEntry {
  readonly name: string;
  readonly bytes: number;
  /** Whom it is from, as far as that is known. */
  readonly agent: string | undefined;
  /** UTC, ISO 8601. */
  readonly time: string;
}

/** Older ones tell nothing of today. */
const mostEntries = 2000;

/**
 * Read it. A journal informs: one that cannot be read tells nothing.
 *
 * @param since UTC, ISO 8601: what is older is not read
 */
export function readHistory(journal: string, since = ""): History {
  const stored: StoredEntry[] = [];
  const accepted = new Set<string>();
  try {
    for (const entry of readJournal(journal, '"event"')) {
      if (entry.time < since || stored.length >= mostEntries) break;
      if (entry.event === "accepted") accepted.add(entry.archive);
      if (entry.event === "stored") stored.push(storedEntry(entry));
    }
  } catch {
    // As above.
  }
  return { stored, accepted };
}

function storedEntry({ archive, bytes, agent, time }: DatedEntry): StoredEntry {
  const size = typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 0;
  return { name: archive, bytes: size, agent: typeof agent === "string" ? agent : undefined, time };
}

/** Two agents in one folder are told of for so long, in days. */
const rememberedDays = 14;
/** Another one that has stored so lately is taken to be still there, in days. */
const recentDays = 2;

/**
 * Whether several agents, or one with several configs, store into a folder: each pushes out the archives of
 * the others. A machine that was replaced by another one does not, after the first days.
 *
 * @param agent who asks, and is about to store
 */
export function isShared(
  stored: readonly StoredEntry[],
  now: Temporal.Instant,
  agent?: string,
): boolean {
  const since = (days: number) =>
    now.subtract({ hours: 24 * days }).toString({ smallestUnit: "second" });
  const agentsSince = (time: string) =>
    [agent, ...stored.filter((entry) => entry.time > time).map((entry) => entry.agent)]
      .filter((one) => one !== undefined);
  if (new Set(agentsSince(since(recentDays))).size > 1) return true;
  // Whoever comes back after another one has not been replaced by him.
  const agents = agentsSince(since(rememberedDays));
  const turns = agents.filter((one, index) => one !== agents[index - 1]);
  return new Set(turns).size < turns.length;
}

/** The same of a journal, of which no more is read than matters. */
export function isSharedNow(journal: string, agent: string | undefined): boolean {
  const now = Temporal.Now.instant();
  const since = now.subtract({ hours: 24 * rememberedDays }).toString({ smallestUnit: "second" });
  return isShared(readHistory(journal, since).stored, now, agent);
}
