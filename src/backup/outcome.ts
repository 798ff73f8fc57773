import { describeError, SignalError, statusOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Contribution } from "../strategies/member_counter.ts";
import type { Findings } from "./context.ts";

/** How a run ended. */
export interface RunResult {
  readonly status: ExitStatus;
  /** The name of the new archive; null if nothing was stored. */
  readonly archive: string | null;
  readonly bytes: number | null;
  readonly sha256: string | null;
  readonly seconds: number;
  /** What of each configured folder is in the archive; empty if that was not counted. */
  readonly folders: readonly Contribution[];
  /** What is not as it should be with an archive that was stored. */
  readonly warnings: readonly string[];
  /** The archives that the rotation deleted. */
  readonly deleted: readonly string[];
  /** Why the run failed, or what went wrong after the archive was stored. */
  readonly error: string | null;
}

/** What a run has come to so far. */
export class Outcome implements Findings {
  readonly #start = performance.now();
  committed: Findings["committed"];
  contributions: Findings["contributions"] = [];
  readonly warnings: string[] = [];
  readonly deleted: string[] = [];
  /** Each makes the status at least 3. */
  readonly problems: string[] = [];
  /** The run was ended by it. */
  failure: unknown;
  nextAfterSnapshot: Findings["nextAfterSnapshot"];
  /** Hooks have run: it is not so any more that nothing was touched. */
  isBegun = false;
  /** The hooks at the end have run. */
  isOver = false;

  get status(): ExitStatus {
    const { failure, committed } = this;
    if (failure instanceof SignalError) return failure.status;
    if (failure !== undefined) {
      if (committed !== undefined) return ExitStatus.StoredWithProblems;
      const status = statusOf(failure);
      return status === ExitStatus.Usage && this.isBegun ? ExitStatus.Failed : status;
    }
    return this.problems.length > 0 ? ExitStatus.StoredWithProblems : ExitStatus.Done;
  }

  get error(): string | undefined {
    const failure = this.failure === undefined ? [] : [describeError(this.failure)];
    const words = [...failure, ...this.problems];
    return words.length === 0 ? undefined : words.join("; ");
  }

  get seconds(): number {
    return Math.round((performance.now() - this.#start) / 10) / 100;
  }

  result(): RunResult {
    const { status, committed, contributions, seconds, warnings, deleted, error } = this;
    return {
      status,
      archive: committed?.name ?? null,
      bytes: committed?.bytes ?? null,
      sha256: committed?.sha256 ?? null,
      seconds,
      folders: committed === undefined ? [] : contributions,
      warnings,
      deleted,
      error: error ?? null,
    };
  }
}
