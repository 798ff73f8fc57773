import { commands } from "./src/commands/mod.ts";
import { ExitStatus } from "./src/exit_status.ts";
import { version } from "./src/version.ts";

/** The names by which the program can be called, and the commands that they stand for. */
const calledAs: Readonly<Record<string, string>> = {
  "plasma-agent": "backup",
  "plasma-rotate": "rotate",
};

async function main(args: readonly string[]): Promise<ExitStatus> {
  const [first = "help", ...rest] = [...commandOfName(), ...args];
  const name = first === "--help" || first === "-h" ? "help" : first;
  const { UsageError, describeError, statusOf } = await import("./src/errors.ts");
  const { Log } = await import("./src/system/log.ts");
  try {
    const row = commands.find((command) => command.name === name);
    if (row === undefined) {
      const { isNear } = await import("./src/config/load.ts");
      const near = commands.find((command) => isNear(name, command.name));
      const hint = near === undefined ? "" : `, did you mean "${near.name}"?`;
      throw new UsageError("command line", `unknown command "${name}"${hint}`, "see plasma help");
    }
    requireCurrentFolder(UsageError);
    const command = await row.load();
    if (name !== "help" && isHelpWanted(rest)) {
      console.log(command.help);
      return ExitStatus.Done;
    }
    return await command.run(rest);
  } catch (error) {
    if (error instanceof Error && "faults" in error && Array.isArray(error.faults)) {
      for (const fault of error.faults) new Log().error(`config: ${fault}`);
    }
    new Log().error(describeError(error));
    return statusOf(error);
  }
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

if (import.meta.main) {
  // All has been disposed of by now; a read of standard input that never ends would keep us here.
  if (isVersionWanted(Deno.args)) console.log(`plasma ${version}`);
  else Deno.exit(await main(Deno.args));
}
