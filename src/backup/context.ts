import { describeDestination } from "../config/destination.ts";
import type { Filter } from "../filters/mod.ts";
import type { Claim, Committed, Store } from "../stores/mod.ts";
import type { Contribution } from "../strategies/member_counter.ts";
import type { Strategy } from "../strategies/mod.ts";
import type { Log } from "../system/log.ts";
import type { RunPlace } from "../system/runtime_folder.ts";
import type { HookOptions } from "./hooks.ts";
import type { Settings } from "./settings.ts";

/** What a run is told beside its settings. */
export interface RunContext {
  readonly log: Log;
  /** Aborted by the first signal: the run stops and cleans up. */
  readonly signal: AbortSignal;
  /** Called when config and tools are known to be good, before the store is used. */
  prepareStore?(): void;
  /** Aborted by the second signal: the hooks after a failure stop too. */
  readonly hookSignal: AbortSignal;
}

/** What a run finds out on its way. */
export interface Findings {
  /** What is not as it should be with the archive. */
  readonly warnings: string[];
  /** What went wrong although the archive is stored; each makes the exit status 3. */
  readonly problems: string[];
  /** What of each configured folder is in the archive, as far as that was counted. */
  contributions: readonly Contribution[];
  /** The archive, as soon as it is one: whatever fails from then on, it is stored. */
  committed: (Claim & Committed) | undefined;
  /**
   * The index of the next command of `executeAfterSnapshot`, as soon as `executeBefore` has begun, and may
   * have stopped services: what was not run when the run ends is run then.
   */
  nextAfterSnapshot: number | undefined;
}

/** All that the stages of a run share. */
export interface Run extends Settings, RunContext {
  /** See {@link agentOf}. */
  readonly agent: string;
  readonly place: RunPlace;
  readonly store: Store;
  readonly strategy: Strategy;
  readonly filters: readonly Filter[];
  readonly outcome: Findings;
}

/** How a hook of this run is called. */
export function hookOptions(
  { config, destination, log, signal }: Settings & RunContext,
  environment: Record<string, string>,
): HookOptions {
  return {
    timeoutSeconds: config.hookTimeout,
    environment: { PLASMA_DESTINATION: describeDestination(destination), ...environment },
    signal,
    log,
  };
}
