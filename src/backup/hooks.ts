import { PlasmaError, SignalError } from "../errors.ts";
import { describeExit, type Environment, start } from "../system/process.ts";
import type { Log } from "../system/log.ts";

/** How hooks are run. */
export interface HookOptions {
  /** Each command is killed, with all that it has started, after this many seconds. */
  readonly timeoutSeconds: number;
  /** PLASMA_... variables. */
  readonly environment: Environment;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** timeout(1) itself ends with this status when the time is over. */
const timedOutStatus = 124;

/** A process that does not end by SIGTERM has so many seconds until SIGKILL. */
const killAfterSeconds = 10;

/**
 * Run commands through /bin/sh one after the other, until one fails.
 *
 * What they print goes to standard error. The environment is that of all children (PATH, HOME ...)
 * and the PLASMA_... variables.
 *
 * @param name the config's key, for messages
 * @throws {PlasmaError} that names the command which failed
 */
export async function runHooks(
  name: string,
  commands: readonly string[],
  options: HookOptions,
): Promise<void> {
  for (const command of commands) {
    const problem = await runHook(name, command, options);
    if (problem !== undefined) throw problem;
  }
}

/** Run all commands, whether one of them fails or not; return what went wrong. */
export async function runAllHooks(
  name: string,
  commands: readonly string[],
  options: HookOptions,
): Promise<PlasmaError[]> {
  const problems = [];
  for (const command of commands) {
    const problem = await runHook(name, command, options);
    if (problem !== undefined) problems.push(problem);
    if (options.signal.aborted) break;
  }
  return problems;
}

async function runHook(
  name: string,
  command: string,
  { timeoutSeconds, environment, signal, log }: HookOptions,
): Promise<PlasmaError | undefined> {
  if (signal.aborted) return asError(signal.reason, name);
  log.info(`${name}: ${command}`);
  const child = await start({
    program: "timeout",
    args: [
      `--kill-after=${killAfterSeconds}`,
      String(timeoutSeconds),
      "sh",
      "-c",
      'exec sh -c "$0" >&2',
      command,
    ],
    environment,
  }, { stdout: 2, stderr: 2 });
  const abort = () => child.kill("SIGTERM");
  signal.addEventListener("abort", abort);
  const exit = await child.exited;
  signal.removeEventListener("abort", abort);
  if (signal.aborted) return asError(signal.reason, name);
  if (exit.code === 0) return undefined;
  const how = exit.code === timedOutStatus
    ? `took longer than ${timeoutSeconds} s`
    : describeExit(exit);
  return new PlasmaError(name, `the command ${JSON.stringify(command)} ${how}`, {
    code: "hook",
    remedy: exit.code === timedOutStatus ? 'mend it, or raise "hookTimeout"' : "mend it",
  });
}

function asError(reason: unknown, stage: string): PlasmaError {
  return reason instanceof SignalError ? reason : new PlasmaError(stage, "was cancelled");
}
