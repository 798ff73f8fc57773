/**
 * Builds the standalone executable dist/plasma, and the symbolic links plasma-agent and
 * plasma-rotate to it. What stood there is replaced only by a program that was seen to run.
 * For other ways to compile it there are `--bundle FOLDER`, which makes FOLDER/main.js, and
 * `--check PROGRAM`, which looks at a program in the same way.
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
    await compile(await bundle(`${folder}/bundle`), `${folder}/plasma`);
    await mustRun(`${folder}/plasma`);
    await mustWork(`${folder}/plasma`, folder);
    await mustIgnoreCache(`${folder}/plasma`, folder);
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

/**
 * The program in a few files instead of a hundred and fifty, each of which takes time at every start.
 * What only some commands need stays apart.
 *
 * @returns the file to begin with
 */
async function bundle(folder: string): Promise<string> {
  const words = await deno(
    ...["bundle", "--quiet", "--frozen-lockfile", "--config", `${root}deno.json`],
    ...["--platform", "deno", "--code-splitting", "--outdir", folder, `${root}main.ts`],
  );
  if (words !== undefined) throw new Error(`deno bundle failed: ${words}`);
  return `${folder}/main.js`;
}

/**
 * Permissions are those of deno.json: they are part of the program from now on. Types: `deno task check`.
 * Without a code cache: the program would read that in the folder for temporary files, where anybody
 * can put one, and run what is in it.
 */
async function compile(entry: string, output: string): Promise<void> {
  const words = await deno(
    ...["compile", "--quiet", "--no-prompt", "--no-check", "--frozen", "-P", "--no-code-cache"],
    ...["--config", `${root}deno.json`, "--output", output, entry],
  );
  if (words === undefined) return;
  const download = /Setting up base binary[^]*?(https?:\S+?)\)?:/.exec(words)?.[1];
  if (download === undefined) throw new Error(`deno compile failed: ${words}`);
  throw new Error(
    `deno compile could not download its base binary ${download}. Fetch and unzip that file ` +
      `on another machine, and name the denort in it: DENORT_BIN=/path/to/denort`,
  );
}

/** Run Deno. Returns what it says if it fails. */
async function deno(...args: string[]): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  return success ? undefined : wordsOf(stderr);
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

/** A part of the program that was forgotten is missed only where it is used. */
async function mustWork(program: string, folder: string): Promise<void> {
  const [source, storage, target] = ["source", "storage", "target"].map((name) =>
    `${folder}/${name}`
  );
  const words = crypto.randomUUID();
  await Deno.mkdir(source!);
  await Deno.writeTextFile(`${source}/file`, words);
  const commands = [
    ["backup", "--to", storage!, source!],
    ["list", "--from", storage!],
    ["verify", "--deep", "--all", "--from", storage!],
    ["restore", "latest", "--from", storage!, "--target", target!],
  ];
  for (const args of commands) {
    const { success, stderr } = await new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { NO_COLOR: "1", PATH: Deno.env.get("PATH") ?? "" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`the compiled program fails at ${args[0]}: ${wordsOf(stderr)}`);
  }
  if (await Deno.readTextFile(`${target}${source}/file`) !== words) {
    throw new Error("the compiled program restores something else than it was given");
  }
  for (const path of [source, storage, target]) await Deno.remove(path!, { recursive: true });
}

/** So long a program may take to tell its version, in milliseconds. */
const patienceMs = 10_000;

/**
 * A program that was compiled with a code cache waits for ever for this one.
 *
 * @param folder a private folder
 */
async function mustIgnoreCache(program: string, folder: string): Promise<void> {
  const name = program.slice(program.lastIndexOf("/") + 1);
  const cache = `${folder}/deno-compile-${name}.cache`;
  const made = await new Deno.Command("mkfifo", { args: ["--", cache] }).output();
  if (!made.success) throw new Error(`mkfifo failed: ${wordsOf(made.stderr)}`);
  const child = new Deno.Command(program, {
    args: ["--version"],
    env: { NO_COLOR: "1", TMPDIR: folder },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
  const { success } = await child.status;
  clearTimeout(timer);
  await Deno.remove(cache);
  if (success) return;
  throw new Error(
    `the compiled program reads its code from the folder for temporary files (${cache}), where ` +
      "others can put it: compile it with --no-code-cache",
  );
}

/** What Deno said, without its stack. */
function wordsOf(stderr: Uint8Array): string {
  return new TextDecoder().decode(stderr).split("\nStack backtrace")[0]!.trim();
}

/** Prove a program that was compiled by other means. */
async function check(program: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await mustRun(program);
    await mustWork(program, folder);
    await mustIgnoreCache(program, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    const [flag, path] = Deno.args;
    if (flag === "--check" && path !== undefined) await check(path);
    else if (flag === "--bundle" && path !== undefined) await bundle(path);
    else {
      await main();
      console.error(`dist/plasma is plasma ${version}; links: ${links.join(", ")}`);
    }
  } catch (error) {
    console.error(`compile: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
