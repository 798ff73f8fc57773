import { describeError, PlasmaError, SignalError } from "../errors.ts";
import { type Child, describeExit, type Environment, start } from "../system/process.ts";
import type { Log } from "../system/log.ts";
import { requireTool } from "../system/tools.ts";
import { placeOf, programOf, variableText } from "./hook_text.ts";

/** How hooks are run. */
export interface HookOptions {
  /** Each command is killed, with all that it has started, after this many seconds. */
  readonly timeoutSeconds: number;
  /** PLASMA_... variables; the hooks get them as one clean line each. */
  readonly environment: Environment;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Told the index of each command before it is run. */
  readonly onBegin?: (index: number) => void;
}

/** A process that does not end by SIGTERM has so many seconds until SIGKILL. */
const killAfterSeconds = 10;

/**
 * Run commands through /bin/sh one after the other, until one fails.
 *
 * What they print goes to standard error. The environment is that of all children (PATH, HOME ...)
 * and the PLASMA_... variables.
 *
 * @param name the config's key
 * @throws {PlasmaError} that names the place of the command which failed, and its program: a command
 * may hold passwords, so all of it is only shown with --verbose
 */
export async function runHooks(
  name: string,
  commands: readonly string[],
  options: HookOptions,
): Promise<void> {
  for (const [index, command] of commands.entries()) {
    const problem = await runHook(placeOf(name, index), command, options);
    if (problem !== undefined) throw problem;
  }
}

/**
 * Run all commands, whether one of them fails or not; return what went wrong. A signal ends the command
 * that is running, and no further one is run.
 *
 * @param first the index of the first command; those before it are passed over
 */
export async function runAllHooks(
  name: string,
  commands: readonly string[],
  options: HookOptions,
  first = 0,
): Promise<PlasmaError[]> {
  const problems = [];
  for (const [index, command] of commands.entries()) {
    if (index < first) continue;
    options.onBegin?.(index);
    const problem = await runHook(placeOf(name, index), command, options);
    if (problem !== undefined) problems.push(problem);
    if (options.signal.aborted) break;
  }
  return problems;
}

/** Never throws: a hook that cannot be started is a problem like others, and the next ones run. */
async function runHook(
  place: string,
  command: string,
  { timeoutSeconds, environment, signal, log }: HookOptions,
): Promise<PlasmaError | undefined> {
  if (signal.aborted) return asError(signal.reason, place);
  const program = programOf(command) ?? "a command";
  log.info(`${place}: ${program}`);
  log.detail(`${place}: ${command}`);
  const start = performance.now();
  let child: Child;
  try {
    child = await startShell(command, timeoutSeconds, environment);
  } catch (error) {
    return new PlasmaError(place, `${program} cannot be started: ${describeError(error)}`, {
      code: "hook",
    });
  }
  const abort = () => child.kill("SIGTERM");
  signal.addEventListener("abort", abort);
  const exit = await child.exited;
  signal.removeEventListener("abort", abort);
  if (signal.aborted) return asError(signal.reason, place);
  if (exit.code === 0) return undefined;
  // Not by the status of timeout(1), 124, with which a hook may end too.
  const isLate = performance.now() - start >= timeoutSeconds * 1000;
  const how = isLate ? `took longer than ${timeoutSeconds} s` : describeExit(exit);
  // What the shell says goes to our standard error; this is what kept it from being started.
  const words = child.messages.tail;
  return new PlasmaError(place, `${program} ${words === "" ? how : words}`, {
    code: "hook",
    remedy: isLate ? 'mend it, or raise "hookTimeout"' : "mend it",
  });
}

async function startShell(
  command: string,
  timeoutSeconds: number,
  variables: Environment,
): Promise<Child> {
  const environment = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, variableText(value)]),
  );
  // What setsid(1) starts it looks up by itself: by their paths they are those that were judged.
  const [timeout, sh] = [await requireTool("timeout"), await requireTool("sh")];
  return await start({
    // In a session of its own it has no terminal that it could ask something on, and wait.
    program: "setsid",
    args: [
      timeout,
      `--kill-after=${killAfterSeconds}`,
      String(timeoutSeconds),
      sh,
      "-c",
      'exec "$1" -c "$0" >&2',
      command,
      sh,
    ],
    environment,
  }, { stdout: 2, stderr: 2 });
}

function asError(reason: unknown, stage: string): PlasmaError {
  return reason instanceof SignalError ? reason : new PlasmaError(stage, "was cancelled");
}
