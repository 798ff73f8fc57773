import { describeError, PlasmaError } from "../errors.ts";
import type { Claim, Committed, Store } from "../stores/mod.ts";
import type { Run } from "./context.ts";
import { isTransient, pause } from "./retry.ts";

/** Seconds after which a commit that got no answer is asked again. */
const askAgainSeconds = [1, 5, 15] as const;

/** Commit an upload; the answer is asked for again when it is lost on its way. */
export async function commit(run: Run, claim: Claim): Promise<Committed> {
  run.signal.throwIfAborted();
  for (const seconds of askAgainSeconds) {
    try {
      return await run.store.commit(claim);
    } catch (error) {
      if (!isTransient(error)) throw error;
      run.log.warning(`no answer to the commit, asking again: ${describeError(error)}`);
      await pause(seconds, run.signal);
    }
  }
  return await run.store.commit(claim);
}

/** The archive of an earlier attempt, if its commit was done; undefined if it was not. */
export async function findCommitted(store: Store, claim: Claim): Promise<Committed | undefined> {
  try {
    return await store.commit(claim);
  } catch (error) {
    if (error instanceof PlasmaError && error.code === "no-upload") return undefined;
    throw error;
  }
}
