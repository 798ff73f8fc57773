import { type DatedEntry, readJournal } from "./journal.ts";
import type { ListedArchive, Verdict } from "./mod.ts";

/** What a journal knows of archives from their verifications, however long ago these were. */

type Known = Pick<ListedArchive, "verified" | "finding">;
type State = Verdict["state"];

/** How much of an archive is known to be right: nothing, its checksum, or all of it. */
const Depth = { nothing: 0, checksum: 1, whole: 2 } as const;
type Depth = typeof Depth[keyof typeof Depth];

interface Knowledge {
  verified?: string;
  finding?: State;
  /** What later verifications have found to be right. */
  right: Depth;
}

/**
 * When archives were last verified, and what is wrong with them. What was found holds until a
 * verification that looks as closely finds the archive to be right.
 *
 * @throws {Error} if there is a journal that cannot be read
 */
export function readVerifications(
  journal: string,
  archives: ReadonlySet<string>,
): ReadonlyMap<string, Known> {
  const known = new Map<string, Knowledge>();
  const now = isoTime(0);
  let settled = 0;
  for (const { archive, time, state, deep } of verificationsIn(journal)) {
    if (settled === archives.size) break;
    if (!archives.has(archive)) continue;
    const before = known.get(archive) ?? { right: Depth.nothing };
    if (isSettled(before)) continue;
    const after = { ...before };
    // A clock that was wrong must not keep an archive from being verified again.
    if (time <= now) after.verified ??= time;
    if (state === "ok") after.right = greater(after.right, rightBy(deep));
    else if (depthOf(state, deep) > after.right) after.finding ??= state;
    known.set(archive, after);
    if (isSettled(after)) settled++;
  }
  return new Map([...known].map(([name, { verified, finding }]) => [name, {
    ...(verified === undefined ? {} : { verified }),
    ...(finding === undefined ? {} : { finding }),
  }]));
}

/** Verifications of one archive with one result are noted again only after this time. */
const newsAfterSeconds = 3600;

/**
 * Whether a result says what the journal does not: who may only read cannot fill the disk with it.
 * An archive whose data are wrong and whose checksum is right gives one result and the other by turns:
 * the same one is no news as long as none in between has made it void.
 */
export function isNews(journal: string, archive: string, state: State, deep: boolean): boolean {
  const since = isoTime(-newsAfterSeconds);
  const until = isoTime(newsAfterSeconds);
  try {
    for (const entry of verificationsIn(journal, archive)) {
      if (entry.archive !== archive) continue;
      if (entry.time < since || entry.time > until) return true;
      if (entry.state !== state) {
        if (isVoidBeside({ state, deep }, entry)) return true;
      } else if (entry.deep === true || !deep) return false;
    }
    return true;
  } catch {
    return true;
  }
}

function* verificationsIn(
  journal: string,
  word = "verified",
): Generator<DatedEntry & { state: State }> {
  for (const entry of readJournal(journal, `"${word}"`)) {
    const { event, state = "ok" } = entry;
    if (event === "verified" && isState(state)) yield { ...entry, state };
  }
}

function isState(state: unknown): state is State {
  return state === "ok" || state === "damaged" || state === "no checksum" || state === "unreadable";
}

/** How closely one must look to know that what was found is not so any more. */
function depthOf(state: State, deep: boolean | undefined): Depth {
  return state === "no checksum" || deep === false ? Depth.checksum : Depth.whole;
}

/** How much is known to be right when a verification has found nothing wrong. */
const rightBy = (deep: boolean | undefined): Depth => deep ? Depth.whole : Depth.checksum;

type Result = Pick<DatedEntry, "deep"> & { readonly state: State };

/** Whether one of two different results makes the other one void, whichever is the later one. */
function isVoidBeside(one: Result, other: Result): boolean {
  const [right, wrong] = one.state === "ok" ? [one, other] : [other, one];
  // Only that the checksum is right says nothing of what was found when all was read.
  return right.state !== "ok" || depthOf(wrong.state, wrong.deep) <= rightBy(right.deep);
}

const greater = (a: Depth, b: Depth): Depth => a > b ? a : b;

/** Whether earlier verifications add nothing. */
function isSettled({ verified, finding, right }: Knowledge): boolean {
  return verified !== undefined && (finding !== undefined || right === Depth.whole);
}

/** A time so many seconds from now as the journal has it. */
function isoTime(seconds: number): string {
  return Temporal.Now.instant().add({ seconds }).toString({ smallestUnit: "second" });
}
