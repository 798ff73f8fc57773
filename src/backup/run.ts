import { describeDestination } from "../config/destination.ts";
import { describeError, DistrustError, PlasmaError, stackOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { openFilters } from "../filters/mod.ts";
import { openStore, type RotationReport } from "../stores/mod.ts";
import { openStrategy, type Strategy, type Survey } from "../strategies/mod.ts";
import { formatBytes, formatSeconds } from "../system/progress.ts";
import { prepareTransfer } from "../system/pump_worker.ts";
import { machineIdentity } from "../system/identity.ts";
import { ownerOf } from "../system/run_id.ts";
import { RunPlace } from "../system/runtime_folder.ts";
import { makeArchive } from "./archive.ts";
import { discardPending } from "./commit.ts";
import { hookOptions, type Run, type RunContext } from "./context.ts";
import { runAllHooks, runHooks } from "./hooks.ts";
import { Outcome, type RunResult } from "./outcome.ts";
import { retrying } from "./retry.ts";
import { remarksOnOthers, remarksOnRoom } from "./remarks.ts";
import { requireAnswer, requireRunTools } from "./run_tools.ts";
import { maySendDirectly } from "./send_directly.ts";
import { agentOf, ownPaths, requireTrustedFiles, type Settings } from "./settings.ts";
import { requireTempfileWay, stagingPath } from "./staging.ts";

/**
 * Make one backup: hooks, archive, upload, commit, rotation, clean-up. Never throws. Whatever goes
 * wrong, the hooks for that run, but for a lock that another run holds.
 */
export async function runBackup(settings: Settings, context: RunContext): Promise<RunResult> {
  const outcome = new Outcome();
  try {
    await runLocked(settings, context, outcome);
  } catch (error) {
    outcome.failure ??= await causeOf(error, context);
    if (outcome.status !== ExitStatus.Locked) await runFinalHooks(settings, context, outcome);
  }
  const stack = stackOf(outcome.failure);
  if (stack !== undefined) context.log.detail(stack);
  return outcome.result();
}

/** Why a run failed. Ctrl-C reaches our children too: that one of them failed says nothing then. */
async function causeOf(error: unknown, { signal }: RunContext): Promise<unknown> {
  // The end of a child may be noticed a moment before the signal that both got.
  if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 100));
  return signal.aborted ? signal.reason : error;
}

function withStagingPath(settings: Settings): Settings {
  const { config } = settings;
  if (config.tempfile === undefined) return settings;
  return { ...settings, config: { ...config, tempfile: stagingPath(config.tempfile) } };
}

async function runLocked(given: Settings, context: RunContext, outcome: Outcome): Promise<void> {
  requireTrustedFiles(given.config);
  requireTempfileWay(given.config.tempfile);
  const settings = withStagingPath(given);
  const { destination, config } = settings;
  const name = describeDestination(destination);
  await requireRunTools(destination);
  await requireAnswer(destination);
  const { machine, problem } = await machineIdentity();
  if (problem !== undefined) {
    context.log.warning(`machine-id and host name stand in for an identity of our own: ${problem}`);
  }
  await using place = await RunPlace.enter(ownerOf(machine, name));
  if (place === undefined) {
    throw new PlasmaError("lock", `another backup to ${name} is running`, {
      status: ExitStatus.Locked,
      remedy: "wait for its end",
    });
  }
  const { folder } = place;
  await using store = await openStore(destination, {
    folder,
    signal: context.signal,
    tell: (words) => context.log.info(words),
    purpose: "backup",
  });
  store.connect();
  const strategy = await openStrategy({ config, ownPaths: ownPaths(settings) });
  await strategy.prepare();
  const filters = await openFilters(config);
  context.prepareStore?.();
  try {
    const agent = agentOf(machine, settings);
    await runStages({ ...settings, ...context, agent, place, store, strategy, filters, outcome });
  } catch (error) {
    outcome.failure = await causeOf(error, context);
  }
  await runFinalHooks(settings, context, outcome);
}

async function runStages(run: Run & { outcome: Outcome }): Promise<void> {
  const { config, log, store, strategy, signal, outcome } = run;
  const isDirect = strategy.archives === "subvolumes" && maySendDirectly(run);
  using _transfer = isDirect ? undefined : prepareTransfer();
  // The source is looked at while ssh logs in, unless hooks may still change it.
  const early = config.executeBefore.length === 0 ? new EarlySurvey(strategy) : undefined;
  await using _ = early;
  const state = await retrying(
    config,
    run,
    "storage",
    () =>
      store.hello({
        subvolumes: strategy.archives === "subvolumes",
        probe: true,
        agent: run.agent,
      }),
  );
  for (const words of [...remarksOnRoom(state), ...remarksOnOthers(state)]) {
    outcome.warnings.push(`storage: ${words}`);
  }
  signal.throwIfAborted();
  await discardPending(run);
  outcome.isBegun = config.executeBefore.length > 0;
  if (outcome.isBegun) outcome.nextAfterSnapshot = 0;
  await runHooks("executeBefore", config.executeBefore, hookOptions(run, {}));
  const { stored, closing } = await makeArchive(run, state, early?.result())
    .finally(() => discardPending(run));
  await using _closing = { [Symbol.asyncDispose]: () => closing };
  const { bytes, seconds } = stored;
  log.success(
    `stored ${stored.name}: ${formatBytes(bytes)} in ${formatSeconds(seconds)} ` +
      `(${formatBytes(bytes / Math.max(seconds, 0.001))}/s)`,
  );
  signal.throwIfAborted();
  if (state.mayRotate) await rotate(run);
  else log.info("rotation is left to the storage host: this key may not ask for it");
  await closing;
  signal.throwIfAborted();
  const problems = await runAllHooks(
    "executeAfter",
    config.executeAfter,
    hookOptions(run, variables(outcome)),
  );
  outcome.problems.push(...problems.map(describeError));
  signal.throwIfAborted();
}

/** What has been found of the source is not relied on for longer, in milliseconds. */
const surveyLifeMs = 5_000;

/** A survey that was begun before it is needed. */
class EarlySurvey implements AsyncDisposable {
  readonly #start = performance.now();
  readonly #survey: Promise<Survey>;

  constructor(strategy: Strategy) {
    this.#survey = strategy.survey();
    // If the storage cannot be reached nobody asks for it.
    this.#survey.catch(() => {});
  }

  /** Undefined if it is too old. */
  result(): Promise<Survey> | undefined {
    return performance.now() - this.#start < surveyLifeMs ? this.#survey : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#survey.catch(() => {});
  }
}

async function rotate({ store, log, outcome }: Run & { outcome: Outcome }): Promise<void> {
  let report: RotationReport;
  try {
    report = await store.rotate({ dryRun: false });
  } catch (error) {
    outcome.problems.push(`rotation: ${describeError(error)}`);
    return;
  }
  outcome.deleted.push(...report.deleted);
  for (const name of report.deleted) log.info(`deleted ${name}`);
  for (const { name, error } of report.failed) {
    outcome.problems.push(`rotation: cannot delete ${name}: ${error}`);
  }
  for (const name of report.future) {
    outcome.warnings.push(`${name} is dated in the future: is a clock wrong?`);
  }
  if (report.foreign.length > 0) {
    const some = report.foreign.slice(0, 5).join(", ");
    const more = report.foreign.length > 5 ? ` and ${report.foreign.length - 5} more` : "";
    log.info(`not archives, left alone: ${some}${more}`);
  }
}

/** Once for each run: they have run when the clean-up after them fails. */
async function runFinalHooks(
  { config, destination }: Settings,
  context: RunContext,
  outcome: Outcome,
): Promise<void> {
  if (outcome.isOver) return;
  outcome.isOver = true;
  const { failure } = outcome;
  // Hooks would run what others may have put there.
  if (failure instanceof DistrustError && failure.stage === "tools") return;
  const run = async (
    name: "executeAfterSnapshot" | "executeOnFailure" | "executeAlways",
    first = 0,
  ) => {
    const options = {
      ...hookOptions({ config, destination, ...context }, variables(outcome)),
      signal: context.hookSignal,
    };
    const problems = await runAllHooks(name, config[name], options, first);
    outcome.problems.push(...problems.map(describeError));
  };
  if (outcome.nextAfterSnapshot !== undefined) {
    await run("executeAfterSnapshot", outcome.nextAfterSnapshot);
  }
  if (outcome.status !== ExitStatus.Done) await run("executeOnFailure");
  await run("executeAlways");
}

/** What hooks are told of a run. */
function variables(outcome: Outcome): Record<string, string> {
  const { status, committed, warnings, error } = outcome;
  return {
    PLASMA_STATUS: String(status),
    PLASMA_ARCHIVE: committed?.name ?? "",
    PLASMA_BYTES: String(committed?.bytes ?? ""),
    PLASMA_SHA256: committed?.sha256 ?? "",
    PLASMA_WARNINGS: warnings.join("; "),
    PLASMA_ERROR: error ?? "",
  };
}
