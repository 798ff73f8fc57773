import { fromRoot } from "./folders.ts";

/** The program under test: the launcher, or the executable that PLASMA_BIN names. */
export const plasmaProgram = Deno.env.get("PLASMA_BIN") ?? fromRoot("scripts/plasma");

export interface PlasmaOptions {
  readonly currentFolder?: string;
  readonly environment?: Record<string, string>;
  /** The name by which the program is called, through a symbolic link. */
  readonly calledAs?: "plasma-agent" | "plasma-rotate";
  readonly stdin?: string | Uint8Array;
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
  const { currentFolder, environment, calledAs, stdin } = options;
  const child = new Deno.Command(calledAs === undefined ? plasmaProgram : linkTo(calledAs), {
    args: [...args],
    env: { NO_COLOR: "1", ...environment },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(currentFolder === undefined ? {} : { cwd: currentFolder }),
  }).spawn();
  return { child, output: collect(child, stdin) };
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
  links ??= Deno.makeTempDirSync({ prefix: "plasma-links-" });
  const link = `${links}/${name}`;
  try {
    Deno.symlinkSync(plasmaProgram, link);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return link;
}
