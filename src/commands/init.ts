import { parseCommandLine } from "../cli/args.ts";
import { print, printJson } from "../cli/output.ts";
import { resolvePath } from "../config/destination.ts";
import { policyFileName } from "../config/policy.ts";
import { UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { initStorageFolder } from "../stores/init.ts";

export const help = `plasma init FOLDER

Make a storage folder: the folder itself (the one above it must exist) and in it
${policyFileName} with a policy to edit. A folder that is one already is not changed.`;

export function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("init", args, {});
  const [folder, ...more] = line.positional;
  if (folder === undefined || more.length > 0) {
    throw new UsageError("command line", "init takes one FOLDER", "see plasma help init");
  }
  const path = resolvePath(folder, Deno.cwd());
  const created = initStorageFolder(path);
  if (line.has("json")) printJson({ folder: path, created });
  else if (created) {
    print(`made the storage folder ${path}; its policy is ${path}/${policyFileName}`);
  } else print(`${path} is a storage folder already`);
  return Promise.resolve(ExitStatus.Done);
}
