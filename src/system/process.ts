import { type ChildProcess, spawn } from "node:child_process";
import { errorCode, PlasmaError } from "../errors.ts";
import { environmentVariable } from "./environment.ts";
import { Messages, type Sorter } from "./messages.ts";
import { requireTool, toolFolders } from "./tools.ts";

/**
 * The one seam through which plasma starts other programs.
 *
 * Children get an environment from an allow-list: TAR_OPTIONS silently drops files, an inherited
 * LD_LIBRARY_PATH makes Deno refuse to start anything. node:child_process is used because it can
 * hand descriptors to a child, so that children can be joined by kernel pipes.
 */

/** The variables that children inherit. */
const inherited = [
  "HOME",
  "LOGNAME",
  "PATH",
  "SHELL",
  "SSH_AUTH_SOCK",
  "TERM",
  "TMPDIR",
  "TZ",
  "USER",
  "XDG_RUNTIME_DIR",
] as const;

export type Environment = Readonly<Record<string, string>>;

/** The environment of a child; its messages are in English, so that they can be understood. */
export function childEnvironment(extra: Environment = {}): Record<string, string> {
  const environment: Record<string, string> = { LC_ALL: "C" };
  for (const name of inherited) {
    const value = environmentVariable(name);
    if (value !== undefined) environment[name] = value;
  }
  if (environment.PATH !== undefined) environment.PATH = toolFolders().join(":");
  return { ...environment, ...extra };
}

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export const isSuccess = (exit: Exit) => exit.code === 0;

/** An end in plain words: "exited with status 2", "was killed by SIGKILL". */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exited with status ${code}` : `was killed by ${signal}`;
}

/** A program and its arguments. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Environment;
  /** So many MiB of address space and no more (RLIMIT_AS). */
  readonly memoryMegabytes?: number;
}

/** Where a child's standard streams lead: nowhere, through Deno, or to an open descriptor. */
export type Stdio = "ignore" | "pipe" | number;

export interface StartOptions {
  readonly stdin?: Stdio;
  readonly stdout?: Stdio;
  /** By default the last lines are kept for error messages; 2 leads to our own standard error. */
  readonly stderr?: 2;
  readonly currentFolder?: string;
  /** Which lines of standard error need not be seen by who judges the child, but only counted. */
  readonly sort?: Sorter | undefined;
}

/** A running child. */
export interface Child {
  readonly program: string;
  readonly process: ChildProcess;
  /** Settles when the process has ended and its last words have been read; never rejects. */
  readonly exited: Promise<Exit>;
  /** What it wrote to standard error: the first and last lines, bounded. */
  readonly messages: Messages;
  kill(signal?: "SIGTERM" | "SIGKILL" | "SIGINT" | "SIGHUP"): void;
}

/** How long after its end we wait for a child's last words: its own children may hold the pipe. */
const lastWordsMs = 500;

/**
 * Start a program.
 *
 * @throws {UsageError} if the program is not installed
 * @throws {PlasmaError} if it cannot be started
 */
export async function start(command: Command, options: StartOptions = {}): Promise<Child> {
  const { program } = command;
  const process = spawnProcess(await commandLine(command), command, options);
  const messages = new Messages(options.sort);
  process.stderr?.on("data", (chunk: Uint8Array) => messages.add(chunk));
  const exited = new Promise<Exit>((resolve) => {
    process.once("exit", (code, signal) => {
      const exit = { code, signal };
      if (process.stderr === null) return resolve(exit);
      const timer = setTimeout(() => resolve(exit), lastWordsMs);
      process.once("close", () => {
        clearTimeout(timer);
        resolve(exit);
      });
    });
    process.once("error", (error) => {
      messages.add(new TextEncoder().encode(`cannot be started: ${error.message}\n`));
      resolve({ code: 127, signal: null });
    });
  });
  return { program, process, exited, messages, kill: (signal) => killProcess(process, signal) };
}

/** The program, by its path so that nothing but what was found is run, and its arguments. */
async function commandLine(
  { program, args, memoryMegabytes }: Command,
): Promise<[string, ...string[]]> {
  const path = await requireTool(program);
  if (memoryMegabytes === undefined) return [path, ...args];
  const script = `ulimit -v ${memoryMegabytes * 1024} && exec "$@"`;
  return [await requireTool("sh"), "-c", script, "sh", path, ...args];
}

function spawnProcess(
  [path, ...args]: [string, ...string[]],
  { program, environment, memoryMegabytes }: Command,
  options: StartOptions,
) {
  try {
    return spawn(path, args, {
      argv0: memoryMegabytes === undefined ? program : "sh",
      stdio: [
        options.stdin ?? "ignore",
        options.stdout ?? "ignore",
        options.stderr ?? "pipe",
      ],
      env: childEnvironment(environment),
      ...(options.currentFolder === undefined ? {} : { cwd: options.currentFolder }),
    });
  } catch (error) {
    throw new PlasmaError("start", `cannot start ${program}: ${errorText(error)}`, {
      cause: error,
    });
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function killProcess(process: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): void {
  try {
    process.kill(signal);
  } catch (error) {
    if (errorCode(error) !== "ESRCH") throw error;
  }
}

/** Whether a child has not ended yet, as far as we have been told. */
export const isRunning = ({ process }: Child) =>
  process.exitCode === null && process.signalCode === null;

export interface ConverseOptions {
  /** Text for standard input. */
  readonly input?: string;
  /** The child is killed after this many seconds. */
  readonly timeoutSeconds?: number;
  /** The child is killed when this is aborted. */
  readonly signal?: AbortSignal;
  /** The child is killed when it writes more bytes to standard output; by default 16 MiB. */
  readonly maximumOutput?: number;
}

export interface RunOptions extends Omit<ConverseOptions, "input"> {
  /** Text for standard input, or an open descriptor. */
  readonly input?: string | number;
  readonly currentFolder?: string;
}

/** What a finished program left. */
export interface Output {
  readonly exit: Exit;
  readonly stdout: Uint8Array;
  readonly messages: Messages;
  readonly timedOut: boolean;
  /** It wrote more than it may and was killed; nothing of its output is kept. */
  readonly overflowed?: boolean;
}

/** Run a program to its end and collect what it says. Its exit status is for the caller to judge. */
export async function run(command: Command, options: RunOptions = {}): Promise<Output> {
  const { input, currentFolder, ...rest } = options;
  const child = await start(command, {
    stdin: typeof input === "string" ? "pipe" : input ?? "ignore",
    stdout: "pipe",
    ...(currentFolder === undefined ? {} : { currentFolder }),
  });
  return await converse(child, { ...rest, ...(typeof input === "string" ? { input } : {}) });
}

/**
 * Give a child whose standard output is a pipe its input, and collect what it says until its end.
 */
export async function converse(child: Child, options: ConverseOptions): Promise<Output> {
  const { input, timeoutSeconds, signal, maximumOutput = 16 << 20 } = options;
  const output = collect(child, maximumOutput);
  // A child that ends before it has read its input is judged by its exit status.
  child.process.stdin?.on("error", () => {});
  if (input !== undefined) child.process.stdin?.end(input);

  let timedOut = false;
  const timer = timeoutSeconds === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutSeconds * 1000);
  const abort = () => child.kill("SIGTERM");
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  try {
    const exit = await child.exited;
    return { exit, ...output(), messages: child.messages, timedOut };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/**
 * Keep what a child writes to the pipe that is its standard output; it is killed if that is too much.
 *
 * @returns a function that gives what it has written so far
 */
export function collect(
  child: Child,
  maximumBytes: number,
): () => Pick<Output, "stdout" | "overflowed"> {
  let chunks: Uint8Array[] = [];
  let size = 0;
  child.process.stdout?.on("data", (chunk: Uint8Array) => {
    size += chunk.length;
    if (size <= maximumBytes) chunks.push(chunk);
    else {
      chunks = [];
      child.kill("SIGKILL");
      // Its own children may go on writing.
      child.process.stdout?.destroy();
    }
  });
  return () => ({ stdout: joinChunks(chunks), overflowed: size > maximumBytes });
}

/** One array of many. */
export function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
