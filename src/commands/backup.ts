import { type Arguments, parseCommandLine } from "../cli/args.ts";
import { storeFlags, withSshFlags } from "../cli/find_store.ts";
import { Signals } from "../cli/signals.ts";
import { print, printJson, table } from "../cli/output.ts";
import type { RunResult } from "../backup/outcome.ts";
import { runBackup } from "../backup/run.ts";
import { loadSettings, ownPaths, requireTrustedFiles, type Settings } from "../backup/settings.ts";
import { agentSchema, strategyNames } from "../config/agent.ts";
import { describeDestination, parseDestination, resolvePath } from "../config/destination.ts";
import { checkConfig } from "../config/load.ts";
import { policyFileName } from "../config/policy.ts";
import { describeError, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { initStorageFolder } from "../stores/init.ts";
import { type Coverage, openStrategy } from "../strategies/mod.ts";
import { Log } from "../system/log.ts";
import { printable } from "../system/printable.ts";

export const help = `plasma backup [--config FILE] [--dry-run] [--json]
plasma backup --to DEST [FLAGS] FOLDER...
plasma-agent [--config FILE]

Make an archive of the configured folders, store it, and rotate. The name of the new
archive is printed to standard output.

  --config FILE  default: /etc/plasma-agent.jsonc, .json or .conf, the first that exists
  --to DEST      no config: store the FOLDERs in /folder, user@host:/folder or
                 ssh://user@host:port/folder; a local folder is made if it does not exist
  --dry-run      only show what would be archived, and how
  --json         print the result as JSON: archive, bytes, seconds, sha256, folders (what of
                 each was archived), warnings, deleted

With --to also, as in the config:
  --strategy NAME (${strategyNames.join(", ")}; default: tar),
  --exclude PATTERN (several), --exclude-caches, --compression zstd[:LEVEL]|gzip|xz,
  --recipient age1... (several), --tempfile FILE, --bandwidth-limit 20M, --retries N,
  --retry-delay 1m, --identity-file FILE, --known-hosts-file FILE, --ssh-command PROGRAM`;

/** Flags of `--to` that stand for a key of the config. */
const configFlags: Readonly<Record<string, string>> = {
  strategy: "strategy",
  tempfile: "tempfile",
  "bandwidth-limit": "bandwidthLimit",
  retries: "retries",
  "retry-delay": "retryDelay",
  compression: "compression",
};

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("backup", args, {
    switches: ["dry-run", "exclude-caches"],
    values: ["to", ...storeFlags.filter((flag) => flag !== "from"), ...Object.keys(configFlags)],
    lists: ["exclude", "recipient"],
  });
  const log = new Log(line.log);
  const settings = await readSettings(line);
  if (line.has("dry-run")) return await showCoverage(settings, line);

  const signals = new Signals();
  const result = await runBackup(settings, {
    log,
    signal: signals.first,
    hookSignal: signals.second,
    ...(line.value("to") === undefined ? {} : { prepareStore: () => prepareFolder(settings, log) }),
  });
  signals.stop();
  return report(result, line, log);
}

async function readSettings(line: Arguments): Promise<Settings> {
  const to = line.value("to");
  if (to !== undefined) return settingsFromFlags(to, line);
  const foreign = [
    ...Object.keys(configFlags).filter((flag) => line.value(flag) !== undefined),
    ...["identity-file", "known-hosts-file", "ssh-command"].filter((flag) =>
      line.value(flag) !== undefined
    ),
    ...["exclude", "recipient"].filter((flag) => line.list(flag).length > 0),
    ...(line.has("exclude-caches") ? ["exclude-caches"] : []),
  ];
  if (foreign.length > 0 || line.positional.length > 0) {
    const what = foreign[0] === undefined
      ? `the folder "${line.positional[0]}"`
      : `--${foreign[0]}`;
    throw new UsageError(
      "command line",
      `${what} goes only with --to DEST`,
      "say where to store it, or put it into the config",
    );
  }
  return await loadSettings(line.value("config"));
}

function settingsFromFlags(to: string, line: Arguments): Settings {
  if (line.value("config") !== undefined) {
    throw new UsageError("command line", "--to and --config exclude each other");
  }
  const destination = withSshFlags(parseDestination(to, Deno.cwd()), line);
  if (line.positional.length === 0 && line.value("strategy") !== "noop") {
    throw new UsageError("command line", "no FOLDER to back up", "see plasma help backup");
  }
  const raw: Record<string, unknown> = {
    strategy: "tar",
    folders: line.positional.map((folder) => resolvePath(folder, Deno.cwd())),
    remoteFolder: destination.folder,
    exclude: line.list("exclude"),
    excludeCaches: line.has("exclude-caches"),
    ...(destination.kind === "ssh" ? { ssh: destination.ssh } : {}),
  };
  for (const [flag, key] of Object.entries(configFlags)) {
    const value = line.value(flag);
    if (value !== undefined) raw[key] = valueOfFlag(key, value);
  }
  const recipients = line.list("recipient");
  if (recipients.length > 0) raw.encryption = { recipients };
  if (typeof raw.tempfile === "string") raw.tempfile = resolvePath(raw.tempfile, Deno.cwd());
  const config = checkConfig("command line", raw, agentSchema);
  return { config, destination };
}

/** What is no number is left to be refused with the words of the user. */
const numberOrText = (text: string) => /^\d{1,9}$/.test(text) ? Number(text) : text;

/** The value of a flag as the config would have it. */
function valueOfFlag(key: string, value: string): unknown {
  if (key === "retries") return numberOrText(value);
  const [type, level] = value.split(":");
  return key === "compression" && level !== undefined
    ? { type, level: numberOrText(level) }
    : value;
}

function prepareFolder({ destination }: Settings, log: Log): void {
  if (destination.kind !== "local") return;
  if (!initStorageFolder(destination.folder)) return;
  log.info(
    `made the storage folder ${destination.folder}; its policy, to be edited, is ` +
      `${destination.folder}/${policyFileName}`,
  );
}

async function showCoverage(settings: Settings, line: Arguments): Promise<ExitStatus> {
  const { config, destination } = settings;
  requireTrustedFiles(config);
  const strategy = await openStrategy({ config, ownPaths: ownPaths(settings) });
  await strategy.prepare();
  const { coverage } = await strategy.survey();
  if (line.has("json")) {
    printJson({
      destination: describeDestination(destination),
      strategy: config.strategy,
      ...coverage,
    });
  } else {
    print(describeCoverage(coverage, settings));
  }
  return ExitStatus.Done;
}

function describeCoverage(
  { folders, notices }: Coverage,
  { config, destination }: Settings,
): string {
  const rows = folders.flatMap(({ folder, snapshots, live, skipped }) => [
    [folder],
    ...snapshots.map(({ path, reason }) => ["  snapshot", path, reason]),
    ...live.map(({ path, reason }) => ["  live", path, reason]),
    ...skipped.map(({ path, reason }) => ["  skipped", path, reason]),
  ]);
  const head = `strategy ${config.strategy}, to ${describeDestination(destination)}`;
  return `${printable(head)}\n${table(rows)}` +
    notices.map((notice) => `${printable(notice)}\n`).join("");
}

/** Say how a run ended. Returns the exit status, which tells what became of the archive. */
function report(result: RunResult, line: Arguments, log: Log): ExitStatus {
  const { archive, status, warnings, error } = result;
  for (const warning of warnings) log.warning(warning);
  const problems = error === null ? [] : [error];
  try {
    if (line.has("json")) printJson(result);
    else if (archive !== null && !line.log.quiet) print(archive);
  } catch (failure) {
    const what = archive === null ? "" : ` (the archive is ${archive})`;
    problems.push(`${describeError(failure)}${what}`);
  }
  if (problems.length === 0) return status;
  const words = problems.join("; ");
  log.error(archive === null ? words : `stored, but ${words}`);
  return status === ExitStatus.Done ? ExitStatus.StoredWithProblems : status;
}
