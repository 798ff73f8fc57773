import { parseCommandLine } from "../cli/args.ts";
import { print, printJson } from "../cli/output.ts";
import { resolvePath } from "../config/destination.ts";
import { parseDuration } from "../config/values.ts";
import { PlasmaError, reasonOf, UsageError } from "../errors.ts";
import type { ExitStatus } from "../exit_status.ts";
import { acceptSize } from "../status/accept.ts";
import { assess, MonitoringState, withUniqueNames, worst } from "../status/assess.ts";
import { prometheusText, statusTable, summaryLine } from "../status/report.ts";
import { surveyFolders } from "../status/survey.ts";
import { localNow } from "../system/local_time.ts";
import { parentOf } from "../system/paths.ts";
import { replacePublicly } from "../system/replace_file.ts";
import { requireSafePath } from "../system/tools.ts";
import { requireTrustedWay } from "../system/trusted.ts";

export const help = `plasma status [--max-age 26h] [--critical-age 50h] FOLDER...

On the storage host: how old the newest archive of every machine is, its size, what is kept,
when archives were last verified, and what is wrong. A FOLDER is a storage folder, or one
that holds storage folders: /data/backup and /data/backup/* both do.

  --max-age 26h        older is a warning
  --critical-age 50h   older is critical
  --accept MACHINE     its newest archive has the size that is normal from now on
  --prometheus FILE    also write metrics for the textfile collector of node_exporter
  --json               print {"state", "machines": [...]}

Exit status as of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown (a folder cannot
be read, there is none, or the command line is wrong).`;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  try {
    return await showStatus(args);
  } catch (error) {
    if (!(error instanceof PlasmaError)) throw error;
    throw new PlasmaError(error.stage, error.message, {
      status: MonitoringState.unknown,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    });
  }
}

async function showStatus(args: readonly string[]): Promise<ExitStatus> {
  requireSafePath();
  const line = parseCommandLine("status", args, {
    values: ["accept", "max-age", "critical-age", "prometheus"],
  });
  if (line.positional.length === 0) {
    throw new UsageError("command line", "no FOLDER to look at", "see plasma help status");
  }
  const limits = {
    maxAge: durationOf("max-age", line.value("max-age") ?? "26h"),
    criticalAge: durationOf("critical-age", line.value("critical-age") ?? "50h"),
  };
  const now = await localNow();
  const folders = line.positional.map((folder) => resolvePath(folder, Deno.cwd()));
  const accept = line.value("accept");
  if (accept !== undefined) await acceptSize(accept, folders, now);
  const found = await surveyFolders(folders, now);
  const machines = withUniqueNames(found.map((one) => assess(one, now, limits)));
  const prometheus = line.value("prometheus");
  if (prometheus !== undefined) {
    const seconds = Math.floor(now.epochMilliseconds / 1000);
    replaceFile(resolvePath(prometheus, Deno.cwd()), prometheusText(machines, seconds));
  }
  if (machines.length === 0) {
    throw new PlasmaError("status", `there is no storage folder in ${folders.join(", ")}`, {
      remedy: "look whether a disk is not mounted",
    });
  }
  const state = worst(machines.map((machine) => machine.state));
  if (line.has("json")) printJson({ state, machines });
  else print(summaryLine(state, machines) + statusTable(machines));
  return MonitoringState[state];
}

function durationOf(flag: string, text: string): number {
  const seconds = parseDuration(text);
  if (seconds !== undefined) return seconds;
  throw new UsageError(
    "command line",
    `--${flag} ${text} is not a duration`,
    "say for example 26h",
  );
}

/**
 * Whoever reads the file sees the old or the new one, never half of it. The folder may belong to
 * somebody else, as node_exporter's does: what he puts in the way is not followed. But nobody else
 * may turn the way to it elsewhere.
 */
function replaceFile(path: string, text: string): void {
  requireTrustedWay(parentOf(path), "status", "the folder");
  try {
    replacePublicly(path, text);
  } catch (error) {
    throw new PlasmaError("status", `cannot write ${path}: ${reasonOf(error)}`);
  }
}
