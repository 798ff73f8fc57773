/** How a program of a benchmark is run. */
export interface RunOptions {
  readonly signal: AbortSignal;
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with the process as soon as it runs. */
  readonly onStart?: (child: Deno.ChildProcess) => void;
}

/**
 * Run a program to its end; what it prints is only shown if it fails.
 *
 * It runs below timeout(1), which hands a SIGTERM on to all that the program has started.
 */
export async function run(command: readonly string[], options: RunOptions): Promise<void> {
  const { signal, environment = {} } = options;
  const child = new Deno.Command("timeout", {
    args: ["3600", ...command],
    env: { NO_COLOR: "1", ...environment },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  options.onStart?.(child);
  const { code, stdout, stderr } = await child.output();
  signal.throwIfAborted();
  if (code === 0) return;
  const words = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  throw new Error(`${command.join(" ")}: exit status ${code}: ${words}`);
}

/** Run a line of bash; the words after it are $1, $2 ... */
export async function bash(line: string, args: readonly string[], options: RunOptions) {
  await run(["bash", "-c", `set -euo pipefail; ${line}`, "bash", ...args], options);
}
