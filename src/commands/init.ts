import { parseCommandLine } from "../cli/args.ts";
import { print, printJson } from "../cli/output.ts";
import { agentConfigPlaces } from "../config/agent.ts";
import { resolvePath } from "../config/destination.ts";
import { policyFileName } from "../config/policy.ts";
import { agentConfigTemplate } from "../config/template.ts";
import { errorCode, PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { initStorageFolder } from "../stores/init.ts";
import { writeDurably } from "../system/durable.ts";
import { parentOf } from "../system/paths.ts";
import { printable } from "../system/printable.ts";
import { requireTrusted } from "../system/trusted.ts";

export const help = `plasma init FOLDER
plasma init [--config FILE]

With a FOLDER: make a storage folder, the folder itself (the one above it must exist) and in
it ${policyFileName} with a policy to edit. A folder that is one already is not changed.

Without: write a config to edit, with comments, into FILE (default: ${agentConfigPlaces[0]}).
A file that exists is not changed.`;

export function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("init", args, { values: ["config"] });
  const [folder, ...more] = line.positional;
  if (more.length > 0 || (folder !== undefined && line.value("config") !== undefined)) {
    throw new UsageError(
      "command line",
      "init takes one FOLDER, or --config",
      "see plasma help init",
    );
  }
  const path = resolvePath(folder ?? line.value("config") ?? agentConfigPlaces[0], Deno.cwd());
  const report = folder === undefined ? writeConfig(path) : makeFolder(path);
  if (line.has("json")) printJson(report.json);
  else print(printable(report.text));
  return Promise.resolve(ExitStatus.Done);
}

interface Report {
  readonly json: object;
  readonly text: string;
}

function makeFolder(folder: string): Report {
  const created = initStorageFolder(folder);
  const text = created
    ? `made the storage folder ${folder}; its policy is ${folder}/${policyFileName}`
    : `${folder} is a storage folder already`;
  return { json: { folder, created }, text };
}

function writeConfig(config: string): Report {
  requireTrusted(parentOf(config), "config", "the folder");
  try {
    writeDurably(config, agentConfigTemplate.replace("HOSTNAME", Deno.hostname()));
    return { json: { config }, text: `wrote ${config}; edit it, then run: plasma check` };
  } catch (error) {
    if (errorCode(error) === "EEXIST") {
      throw new UsageError(
        "config",
        `${config} exists already`,
        "edit it, or name another --config",
      );
    }
    throw new PlasmaError("config", `cannot write ${config}: ${reasonOf(error)}`);
  }
}
