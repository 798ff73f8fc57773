import { commands } from "./src/commands/mod.ts";
import { ExitStatus } from "./src/exit_status.ts";
import { version } from "./src/version.ts";

/** The names by which the program can be called, and the commands that they stand for. */
const calledAs: Readonly<Record<string, string>> = {
  "plasma-agent": "backup",
  "plasma-rotate": "rotate",
};

async function main(args: readonly string[]): Promise<ExitStatus> {
  const [first = "help", ...rest] = args;
  if (first === "--version" || first === "-V") {
    console.log(`plasma ${version}`);
    return ExitStatus.Done;
  }
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

function isHelpWanted(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? undefined : end).some((arg) => arg === "--help" || arg === "-h");
}

/** The command that the name of a symbolic link stands for; see argv[0] in execve(2). */
function commandOfName(): string[] {
  // Deno.execPath() would resolve the link. Loaded lazily by Deno, unlike an import of node:process.
  const argv0 = globalThis.process?.argv0 ?? "";
  const command = calledAs[argv0.split("/").at(-1)!];
  return command === undefined ? [] : [command];
}

if (import.meta.main) {
  // Not Deno.exit(): that would skip what is still to be disposed of.
  Deno.exitCode = await main([...commandOfName(), ...Deno.args]);
}
