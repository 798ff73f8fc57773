import type { AgentConfig } from "../config/agent.ts";
import { describeError, PlasmaError } from "../errors.ts";
import type { Log } from "../system/log.ts";

/** The errors that may be gone when the same is tried again: those of the way to the storage. */
const transientCodes: readonly string[] = [
  "connection",
  "timeout",
  "mismatch",
  "no-upload",
  "busy",
];

/** How long a storage host is asked again. */
interface Patience {
  readonly tries: number;
  /** After so many seconds, and up to twice as many: else all agents would come back together. */
  readonly seconds: number;
}

/** A storage host that says it is busy is asked again, whatever the config says. */
const patience: Readonly<Record<string, Patience>> = {
  busy: { tries: 20, seconds: 3 },
  // Others are storing. Not for longer: hooks may have stopped what is to be archived.
  "max-uploads": { tries: 20, seconds: 30 },
};

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
      const { tries = 0, seconds = 0 } = patience[code] ?? {};
      const count = (waits.get(code) ?? 0) + 1;
      if (count <= tries) {
        if (count === 1) log.info(`${what}: waiting: ${describeError(error)}`);
        waits.set(code, count);
        await pause(seconds * (1 + Math.random()), signal);
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

/** Wait for so many seconds, or until the signal is aborted; then throws its reason. */
export function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal.addEventListener("abort", stop, { once: true });
  });
}
