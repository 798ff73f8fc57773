import { describeError, PlasmaError } from "../errors.ts";
import type { Claim, Committed } from "../stores/mod.ts";
import type { Run } from "./context.ts";
import { pause } from "../stores/ask_again.ts";
import { isTransient } from "./retry.ts";

/** Seconds after which a commit that got no answer is asked again. */
const askAgainSeconds = [1, 5, 15] as const;

/** Commit an upload; the answer is asked for again when it is lost on its way. */
export async function commit(run: Run, claim: Claim): Promise<Committed> {
  return settle(run, claim, await askToCommit(run, claim));
}

/** The archive is stored. */
function settle({ outcome, place }: Run, claim: Claim, committed: Committed): Committed {
  outcome.committed = { ...claim, ...committed };
  if (committed.problem !== undefined) outcome.problems.push(`storage: ${committed.problem}`);
  try {
    place.uploads.settle(claim.id);
  } catch (error) {
    outcome.problems.push(`clean-up: ${describeError(error)}`);
  }
  return committed;
}

async function askToCommit(run: Run, given: Claim): Promise<Committed> {
  const claim = { ...given, agent: run.agent };
  run.signal.throwIfAborted();
  for (const seconds of askAgainSeconds) {
    try {
      return await run.store.commit(claim);
    } catch (error) {
      // What is not there any more will not come back by asking: it is uploaded anew.
      if (!isTransient(error) || isGone(error)) throw error;
      run.log.warning(`no answer to the commit, asking again: ${describeError(error)}`);
      await pause(seconds, run.signal);
    }
  }
  return await run.store.commit(claim);
}

const isGone = (error: unknown) =>
  error instanceof PlasmaError && ["no-upload", "mismatch"].includes(error.code);

/** The archive of an earlier attempt, if its commit was done; undefined if it was not. */
export async function findCommitted(run: Run, claim: Claim): Promise<Committed | undefined> {
  try {
    return settle(run, claim, await run.store.commit(claim));
  } catch (error) {
    if (error instanceof PlasmaError && error.code === "no-upload") return undefined;
    throw error;
  }
}

/**
 * Have the store remove all uploads that were not committed: what earlier attempts have left, and runs
 * that were killed. What it cannot remove now, the next run asks for again. Never throws.
 */
export async function discardPending(
  { store, place }: Pick<Run, "store" | "place">,
): Promise<void> {
  for (const id of place.uploads.ids) {
    if (!await store.discard(id)) continue;
    try {
      place.uploads.settle(id);
    } catch {
      // It is discarded once more.
    }
  }
}
