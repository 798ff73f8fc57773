import { parseCommandLine } from "../cli/args.ts";
import { print, printJson } from "../cli/output.ts";
import { resolvePath } from "../config/destination.ts";
import { describeError, statusOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { LocalStore } from "../stores/local.ts";
import type { RotationReport } from "../stores/mod.ts";
import { isSystemName } from "../stores/system_names.ts";
import { Log } from "../system/log.ts";
import { printable } from "../system/printable.ts";
import { requireSafePath } from "../system/tools.ts";

export const help = `plasma rotate [--dry-run] [--json] FOLDER...
plasma-rotate FOLDER...

Delete from each storage folder the archives that its policy (plasma-rotate.json in the
folder) no longer keeps. "daily": 7 keeps the newest 7 daily archives, and the first one of
each of the newest 7 days that have any; so with the other labels and their hours, weeks,
months and years. Prints a line with the reason for each archive.

  --dry-run   delete nothing, only say what would be deleted
  --json      print a list with a report per folder`;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("rotate", args, { switches: ["dry-run"] });
  if (line.positional.length === 0) {
    throw new UsageError("command line", "no FOLDER to rotate", "see plasma help rotate");
  }
  requireSafePath();
  const log = new Log(line.log);
  const dryRun = line.has("dry-run");
  const reports: (RotationReport | { folder: string; error: string })[] = [];
  let status: ExitStatus = ExitStatus.Done;
  for (const folder of line.positional) {
    // For "/data/backup/*/" on a filesystem of its own.
    if (isSystemName(folder.replace(/\/+$/, "").split("/").at(-1)!)) continue;
    try {
      const report = await new LocalStore(resolvePath(folder, Deno.cwd())).rotate({ dryRun });
      reports.push(report);
      if (!line.has("json")) print(describe(report, dryRun));
      tellProblems(report, log);
      if (report.failed.length > 0) status = worse(status, ExitStatus.StoredWithProblems);
    } catch (error) {
      if (error instanceof Error && "faults" in error && Array.isArray(error.faults)) {
        for (const fault of error.faults) log.error(`config: ${fault}`);
      }
      log.error(`${folder}: ${describeError(error)}`);
      reports.push({ folder, error: describeError(error) });
      const own = error instanceof Error && "code" in error && error.code === "no-policy"
        ? ExitStatus.Usage
        : statusOf(error);
      status = worse(status, own);
    }
  }
  if (line.has("json")) printJson(reports);
  return status;
}

/** With several folders, one that was not rotated at all counts more than one that was in part. */
function worse(a: ExitStatus, b: ExitStatus): ExitStatus {
  const order: ExitStatus[] = [
    ExitStatus.Done,
    ExitStatus.StoredWithProblems,
    ExitStatus.Usage,
    ExitStatus.Failed,
  ];
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}

function describe({ folder, decisions }: RotationReport, dryRun: boolean): string {
  const [verb, participle] = dryRun ? ["would delete", "to be deleted"] : ["delete", "deleted"];
  const lines = decisions.map(({ name, keep, reason }) =>
    `${(keep ? "keep" : verb).padEnd(verb.length)}  ${name}  ${printable(reason)}\n`
  );
  const doomed = decisions.filter(({ keep }) => !keep).length;
  return `${lines.join("")}${printable(folder)}: ${
    decisions.length - doomed
  } kept, ${doomed} ${participle}\n`;
}

function tellProblems({ folder, failed, future, foreign }: RotationReport, log: Log): void {
  if (foreign.length > 0) {
    log.info(`${folder}: not archives, left alone: ${foreign.join(", ")}`);
  }
  for (const name of future) {
    log.warning(`${folder}: ${name} is dated in the future: is a clock wrong?`);
  }
  for (const { name, error } of failed) {
    log.error(`rotate: cannot delete ${folder}/${name}: ${error}; delete it by hand`);
  }
}
