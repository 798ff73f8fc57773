import { fromRoot } from "./folders.ts";
import { until } from "./sh.ts";

/** The program under test: the launcher, or the executable that PLASMA_BIN names. */
export const plasmaProgram = Deno.env.get("PLASMA_BIN") ?? fromRoot("scripts/plasma");

/** Instead of what is fed to standard input: the test does so through `child.stdin`. */
export const piped = Symbol("piped");

export interface PlasmaOptions {
  readonly currentFolder?: string;
  readonly environment?: Record<string, string>;
  /** The name by which the program is called, through a symbolic link. */
  readonly calledAs?: "plasma-agent" | "plasma-rotate";
  readonly stdin?: string | Uint8Array | typeof piped;
  /** A command line that runs the program, for example `["setpriv", "--bounding-set", "-all"]`. */
  readonly through?: readonly string[];
}

export interface PlasmaOutput {
  readonly code: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line on standard error. */
  readonly lastLine: string;
}

/** Run the program to its end. */
export async function plasma(
  args: readonly string[],
  options: PlasmaOptions = {},
): Promise<PlasmaOutput> {
  return await startPlasma(args, options).output;
}

/** Start the program. `child.pid` is the plasma process itself: the launcher execs. */
export function startPlasma(args: readonly string[], options: PlasmaOptions = {}) {
  const { currentFolder, environment, calledAs, stdin, through = [] } = options;
  const program = calledAs === undefined ? plasmaProgram : linkTo(calledAs);
  const [first, ...rest] = [...through, program, ...args];
  const child = new Deno.Command(first!, {
    args: rest,
    env: { NO_COLOR: "1", ...environment },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(currentFolder === undefined ? {} : { cwd: currentFolder }),
  }).spawn();
  return { child, output: collect(child, stdin === piped ? undefined : stdin) };
}

/** Wait until the program has ended. Throws after so many seconds. */
export async function untilEnded(output: Promise<PlasmaOutput>, seconds: number): Promise<void> {
  const ended = output.then(() => true);
  await until("the program has ended", () => Promise.race([ended, false]), seconds);
}

async function collect(
  child: Deno.ChildProcess,
  stdin: string | Uint8Array | undefined,
): Promise<PlasmaOutput> {
  const fed = stdin === undefined ? undefined : feed(child, stdin);
  const { code, signal, stdout, stderr } = await child.output();
  await fed;
  const text = new TextDecoder();
  const words = text.decode(stderr);
  return {
    code,
    signal,
    stdout: text.decode(stdout),
    stderr: words,
    lastLine: words.trimEnd().split("\n").at(-1)!,
  };
}

async function feed(child: Deno.ChildProcess, stdin: string | Uint8Array): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin);
    await writer.close();
  } catch {
    // The program may end before it has read all.
  }
}

let links: string | undefined;

function linkTo(name: string): string {
  if (links === undefined) {
    const folder = links = Deno.makeTempDirSync({ prefix: "plasma-links-" });
    addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  }
  const link = `${links}/${name}`;
  try {
    Deno.symlinkSync(plasmaProgram, link);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return link;
}
