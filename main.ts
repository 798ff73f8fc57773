import { commands } from "./src/commands/mod.ts";
import { ExitStatus } from "./src/exit_status.ts";
import { version } from "./src/version.ts";

/** The names by which the program can be called, and the commands that they stand for. */
const calledAs: Readonly<Record<string, string>> = {
  "plasma-agent": "backup",
  "plasma-rotate": "rotate",
};

async function main(args: readonly string[]): Promise<ExitStatus> {
  if (isVersionWanted(args)) return await printVersion();
  const [first = "help", ...rest] = commandFirst([...commandOfName(), ...args]);
  const name = first === "--help" || first === "-h" ? "help" : first;
  const { UsageError, describeError, stackOf, statusOf } = await import("./src/errors.ts");
  const { Log } = await import("./src/system/log.ts");
  try {
    const row = commands.find((command) => command.name === name);
    if (row === undefined) {
      const { isNear } = await import("./src/config/load.ts");
      const near = commands.find((command) => isNear(name, command.name));
      const hint = near === undefined ? "" : `, did you mean "${near.name}"?`;
      const what = name.startsWith("-") ? "no command, only" : "unknown command";
      throw new UsageError("command line", `${what} "${name}"${hint}`, "see plasma help");
    }
    requireCurrentFolder(UsageError);
    const command = await row.load();
    if (name !== "help" && isHelpWanted(rest)) {
      (await import("./src/cli/output.ts")).print(command.help);
      return ExitStatus.Done;
    }
    return await command.run(rest);
  } catch (error) {
    if (error instanceof Error && "faults" in error && Array.isArray(error.faults)) {
      for (const fault of error.faults) new Log().error(`config: ${fault}`);
    }
    const stack = stackOf(error);
    if (stack !== undefined && args.some((arg) => arg === "--verbose" || arg === "-v")) {
      new Log({ verbose: true }).detail(stack);
    }
    new Log().error(describeError(error));
    return statusOf(error);
  }
}

/** Flags after which the next word is no value of theirs. */
const withoutValue =
  /^--(?:all|deep|dry-run|exclude-caches|into-existing|json|no-color|quiet|untrusted|verbose)$|^-[a-z]+$|=/;

/** Flags may come before the command. */
function commandFirst(words: readonly string[]): readonly string[] {
  if (words[0]?.startsWith("-") !== true) return words;
  if (words.every((word) => word.startsWith("-")) && isHelpWanted(words)) return ["help"];
  let at = 0;
  while (words[at]?.startsWith("-")) at += withoutValue.test(words[at]!) ? 1 : 2;
  if (at >= words.length) at = 0;
  return [words[at]!, ...words.slice(0, at), ...words.slice(at + 1)];
}

/** Deno's own modules cannot do without a current folder whose name is UTF-8. */
function requireCurrentFolder(UsageError: typeof import("./src/errors.ts").UsageError): void {
  try {
    Deno.cwd();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError("start", `cannot use the current folder: ${reason}`, "go to another one");
  }
}

function isVersionWanted([first]: readonly string[]): boolean {
  return first === "--version" || first === "-V";
}

function isHelpWanted(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? undefined : end).some((arg) => arg === "--help" || arg === "-h");
}

/**
 * The command that the name of a symbolic link stands for; see argv[0] in execve(2). In a checkout the
 * launcher sees to that, and argv[0] is Deno: asking for it takes as long as all the rest of the
 * start-up.
 */
function commandOfName(): string[] {
  if (!Deno.build.standalone) return [];
  const command = calledAs[globalThis.process.argv0.split("/").at(-1)!];
  return command === undefined ? [] : [command];
}

/** Quickly: nothing else is loaded for it. */
async function printVersion(): Promise<ExitStatus> {
  try {
    console.log(`plasma ${version}`);
    return ExitStatus.Done;
  } catch {
    (await import("./src/cli/output.ts")).print(`plasma ${version}`);
    return ExitStatus.Failed;
  }
}

async function endBy(error: unknown): Promise<never> {
  const { describeError } = await import("./src/errors.ts");
  const { Log } = await import("./src/system/log.ts");
  new Log().error(describeError(error));
  Deno.exit(ExitStatus.Failed);
}

if (import.meta.main) {
  // All has been disposed of by now; a read of standard input that never ends would keep us here.
  // What nobody has awaited: no stack trace helps an admin.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    void endBy(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    void endBy(event.error);
  });
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    await endBy(error);
  }
}
