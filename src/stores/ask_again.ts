import { PlasmaError } from "../errors.ts";

/** How often something is asked again, and after how many seconds; each time after longer. */
interface Patience {
  readonly tries: number;
  readonly seconds: number;
  readonly mostSeconds: number;
}

/**
 * A storage host that could not be asked, or says that it has no time now, is asked again whatever the
 * config says, by the code of the error. Nothing has been done yet then.
 */
const patience: Readonly<Record<string, Patience>> = {
  // Its sshd is just being started again, or the host is.
  refused: { tries: 4, seconds: 1, mostSeconds: 8 },
  // All agents come at midnight, and sshd takes 10 connections at a time that have not logged in.
  crowded: { tries: 20, seconds: 0.5, mostSeconds: 20 },
  busy: { tries: 20, seconds: 3, mostSeconds: 6 },
};

export interface AskAgainOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once why we wait. */
  readonly tell?: ((words: string) => void) | undefined;
}

/**
 * Ask, and ask again as long as there is hope that it helps.
 *
 * @throws what the last try has thrown, with the code "connection" if it was asked again in vain
 */
export async function askAgain<T>(
  ask: () => Promise<T>,
  { signal, tell }: AskAgainOptions,
): Promise<T> {
  for (let attempt = 0;; attempt++) {
    try {
      return await ask();
    } catch (error) {
      signal?.throwIfAborted();
      const seconds = secondsUntilNext(error, attempt);
      if (seconds === undefined) throw givenUp(error);
      if (attempt === 0) tell?.(`waiting for the storage host: ${(error as Error).message}`);
      await pause(seconds, signal);
    }
  }
}

/**
 * After how many seconds it makes sense to ask again. Half of it to three halves: else all agents would
 * come back together.
 *
 * @param attempt how often it was asked again before
 * @returns undefined if that is of no use
 */
export function secondsUntilNext(error: unknown, attempt: number): number | undefined {
  const kind = error instanceof PlasmaError ? patience[error.code] : undefined;
  if (kind === undefined || attempt >= kind.tries) return undefined;
  return Math.min(kind.seconds * 1.6 ** attempt, kind.mostSeconds) * (0.5 + Math.random());
}

/** Nobody else is to wait as long again for the same. */
function givenUp(error: unknown): unknown {
  if (!(error instanceof PlasmaError) || patience[error.code] === undefined) return error;
  const { stage, message, remedy, status } = error;
  return new PlasmaError(stage, message, {
    code: "connection",
    status,
    cause: error,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** Wait for so many seconds, or until the signal is aborted; then throws its reason. */
export function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
