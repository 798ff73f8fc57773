import type { AgentConfig } from "../config/agent.ts";
import { describeError, PlasmaError } from "../errors.ts";
import { pause, secondsUntilNext } from "../stores/ask_again.ts";
import type { Log } from "../system/log.ts";

/** The errors that may be gone when the same is tried again: those of the way to the storage. */
const transientCodes: readonly string[] = [
  "connection",
  "timeout",
  "mismatch",
  "no-upload",
  "busy",
  "crowded",
  "refused",
];

/**
 * Others are storing: so often it is tried again, after so many seconds and up to twice as many. Not for
 * longer, because hooks may have stopped what is to be archived.
 */
const forUploads = { tries: 20, seconds: 30 } as const;

/** See {@link secondsUntilNext}. */
function secondsUntilNextOf(error: unknown, attempt: number): number | undefined {
  const isFull = error instanceof PlasmaError && error.code === "max-uploads";
  if (!isFull) return secondsUntilNext(error, attempt);
  return attempt < forUploads.tries ? forUploads.seconds * (1 + Math.random()) : undefined;
}

/** True if it makes sense to try again. */
export function isTransient(error: unknown): boolean {
  return error instanceof PlasmaError && transientCodes.includes(error.code);
}

/**
 * Do something, and do it again after `retryDelay` when it fails for a reason that may pass, at most
 * `retries` times.
 *
 * @throws what the last try has thrown
 */
export async function retrying<T>(
  { retries, retryDelay }: Pick<AgentConfig, "retries" | "retryDelay">,
  { log, signal }: { log: Log; signal: AbortSignal },
  what: string,
  action: () => Promise<T>,
): Promise<T> {
  const waits = new Map<string, number>();
  for (let attempt = 1;; attempt++) {
    try {
      return await action();
    } catch (error) {
      signal.throwIfAborted();
      const code = error instanceof PlasmaError ? error.code : "";
      const count = waits.get(code) ?? 0;
      const seconds = secondsUntilNextOf(error, count);
      if (seconds !== undefined) {
        if (count === 0) log.info(`${what}: waiting: ${describeError(error)}`);
        waits.set(code, count + 1);
        await pause(seconds, signal);
        attempt--;
        continue;
      }
      if (attempt > retries || !isTransient(error)) throw error;
      log.warning(
        `${what} failed, trying again in ${retryDelay} s (${attempt} of ${retries}): ` +
          describeError(error),
      );
      await pause(retryDelay, signal);
    }
  }
}
