import { print } from "../cli/output.ts";
import { parseCommandLine } from "../cli/args.ts";
import { isNear } from "../config/load.ts";
import { UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { version } from "../version.ts";
import { commands } from "./mod.ts";

export const help = `plasma help [COMMAND]

Explain the program, or one of its commands.`;

function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `plasma ${version}: backs up folders with tar, over SSH, with rotation

usage: plasma COMMAND [FLAGS] [ARGUMENTS]

${rows.join("\n")}

The names plasma-agent and plasma-rotate stand for "plasma backup" and "plasma rotate".
"plasma help COMMAND" explains a command.

Everywhere:
  --quiet      say only what is wrong
  --verbose    say more
  --no-color   no colours (also: the variable NO_COLOR)
  --json       print the result as JSON to standard output
  --version    print the version

Exit status:
  0      done
  1      failed, nothing new was stored
  2      bad command line or config, or a program or key is missing; nothing was touched
  3      stored, but something else went wrong (rotation, clean-up, a hook,
         or files changed while they were read)
  4      another run holds the lock
  128+n  ended by signal n
"plasma status" has those of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown.`;
}

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const { positional } = parseCommandLine("help", args, {});
  const [name] = positional;
  if (name === undefined) {
    print(overview());
    return ExitStatus.Done;
  }
  const row = commands.find((command) => command.name === name);
  if (row === undefined) {
    const near = commands.find((command) => isNear(name, command.name));
    const hint = near === undefined ? "" : `, did you mean "${near.name}"?`;
    throw new UsageError("command line", `there is no command "${name}"${hint}`, "see plasma help");
  }
  print((await row.load()).help);
  return ExitStatus.Done;
}
