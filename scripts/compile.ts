/**
 * Builds the standalone executable dist/plasma, and the symbolic links plasma-agent and
 * plasma-rotate to it. What stood there is replaced only by a program that was seen to run.
 */
import { version } from "../src/version.ts";

const root = new URL("../", import.meta.url).pathname;
const dist = `${root}dist`;
/** Other names of the program, see main.ts. */
const links = ["plasma-agent", "plasma-rotate"];

async function main(): Promise<void> {
  // In dist itself: rename(2) works only within a filesystem.
  const folder = `${dist}/.new`;
  await removeIfPresent(folder); // a run that was killed has left it
  await Deno.mkdir(folder, { recursive: true });
  try {
    await compile(`${folder}/plasma`);
    await mustRun(`${folder}/plasma`);
    await Deno.rename(`${folder}/plasma`, `${dist}/plasma`);
    for (const link of links) {
      await Deno.symlink("plasma", `${folder}/${link}`);
      await Deno.rename(`${folder}/${link}`, `${dist}/${link}`);
    }
  } finally {
    await removeIfPresent(folder);
  }
}

async function removeIfPresent(folder: string): Promise<void> {
  try {
    await Deno.remove(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Permissions are those of deno.json: they are part of the program from now on. Types: `deno task check`. */
async function compile(output: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "--quiet", "--no-prompt", "--no-check", "--frozen", "-P"],
      ...["--config", `${root}deno.json`, "--output", output, `${root}main.ts`],
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  const words = wordsOf(stderr);
  const download = /Setting up base binary[^]*?(https?:\S+?)\)?:/.exec(words)?.[1];
  if (download === undefined) throw new Error(`deno compile failed: ${words}`);
  throw new Error(
    `deno compile could not download its base binary ${download}. Fetch and unzip that file ` +
      `on another machine, and name the denort in it: DENORT_BIN=/path/to/denort`,
  );
}

/** A base binary of another version of Deno compiles, but the program does not run. */
async function mustRun(program: string): Promise<void> {
  const { stdout, stderr } = await new Deno.Command(program, {
    args: ["--version"],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (new TextDecoder().decode(stdout).trim() === `plasma ${version}`) return;
  const words = wordsOf(stderr);
  const hint = Deno.env.get("DENORT_BIN") === undefined
    ? ""
    : `: is DENORT_BIN the denort of Deno ${Deno.version.deno}?`;
  throw new Error(`the compiled program does not run${hint} ${words}`.trim());
}

/** What Deno said, without its stack. */
function wordsOf(stderr: Uint8Array): string {
  return new TextDecoder().decode(stderr).split("\nStack backtrace")[0]!.trim();
}

if (import.meta.main) {
  try {
    await main();
    console.error(`dist/plasma is plasma ${version}; links: ${links.join(", ")}`);
  } catch (error) {
    console.error(`compile: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
