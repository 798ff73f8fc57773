/**
 * The exit statuses of plasma, as documented in `plasma help`. A run that a signal ended has
 * 128 + the number of the signal instead.
 */
export const ExitStatus = {
  /** Everything was done. */
  Done: 0,
  /** The run failed and nothing new was stored. */
  Failed: 1,
  /** The command line or a config is wrong; nothing was touched. */
  Usage: 2,
  /** The archive is stored, but something else went wrong. */
  StoredWithProblems: 3,
  /** Another run holds the lock. */
  Locked: 4,
} as const;

export type ExitStatus = number;

/** The numbers of the signals that end a run, see signal(7). */
export const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export type EndingSignal = keyof typeof signalNumbers;
