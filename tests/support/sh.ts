/** What a program left. */
export interface ShellOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run a program of the system; throws if it fails. */
export async function sh(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tryRun(program, ...args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: status ${code}: ${stderr}`);
  return stdout;
}

/** Run a program of the system, whatever its status. */
export async function tryRun(program: string, ...args: string[]): Promise<ShellOutput> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" })
    .output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Wait until something is true. Throws after so many seconds. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  seconds = 20,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!await isTrue()) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
