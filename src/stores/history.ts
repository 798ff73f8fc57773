import { type DatedEntry, readJournal } from "./journal.ts";
import { runOwner } from "../system/run_id.ts";

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

function storedEntry({ archive, bytes, run, agent, time }: DatedEntry): StoredEntry {
  const size = typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 0;
  const by = typeof agent === "string" ? agent : ownerIn(run);
  return { name: archive, bytes: size, agent: by, time };
}

/** Agents of before told no more. */
function ownerIn(run: unknown): string | undefined {
  return typeof run === "string" ? runOwner(run)?.machine : undefined;
}

/** Two agents in one folder are told of for so long, in days. */
const rememberedDays = 14;
/** Another machine that has stored so lately is still there, in days. */
const recentDays = 2;

/**
 * Whether several agents, or one with several configs, store into a folder by turns: each pushes out the
 * archives of the others. A machine that was replaced by another one does not.
 *
 * @param agent who asks, if he is one of them
 * @param now UTC, ISO 8601
 */
export function isShared(
  stored: readonly StoredEntry[],
  now: Temporal.Instant,
  agent?: string,
): boolean {
  const since = before(now, rememberedDays);
  const agents = stored.filter(({ time }) => time >= since).flatMap(({ agent }) => agent ?? []);
  const [last] = agents;
  if (agent !== undefined && last !== undefined && last !== agent) {
    if (agents.includes(agent) || stored[0]!.time >= before(now, recentDays)) return true;
  }
  // Whoever comes back after another one has not been replaced by him.
  const turns = agents.filter((one, index) => one !== agents[index - 1]);
  return new Set(turns).size < turns.length;
}

const before = (now: Temporal.Instant, days: number) =>
  now.subtract({ hours: 24 * days }).toString({ smallestUnit: "second" });
