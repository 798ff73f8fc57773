import { loadSettings, ownPaths, type Settings } from "../backup/settings.ts";
import { checkTempfile } from "../backup/staging.ts";
import { parseCommandLine } from "../cli/args.ts";
import { print, printJson, table } from "../cli/output.ts";
import { agentConfigPlaces } from "../config/agent.ts";
import { describeDestination } from "../config/destination.ts";
import { PlasmaError, statusOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { openFilters } from "../filters/mod.ts";
import { openStore } from "../stores/mod.ts";
import { type Coverage, openStrategy } from "../strategies/mod.ts";
import { formatBytes } from "../system/progress.ts";
import { requireSafePath, requireTool } from "../system/tools.ts";

export const help = `plasma check [--config FILE] [--json]

Look at everything that a backup needs, and change nothing: the config, the programs, the
folders, the storage and its policy. Says of each finding how to mend it. Ends with status 0
if a backup would work, 1 if it would fail, 2 if the config is wrong.

  --config FILE  default: ${agentConfigPlaces.join(", ")}`;

/** What was looked at, and what came out. */
interface Finding {
  readonly what: string;
  readonly isGood: boolean;
  readonly detail: string;
  readonly remedy?: string | undefined;
}

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("check", args, { values: ["config"] });
  if (line.positional.length > 0) {
    throw new UsageError("command line", `unexpected argument "${line.positional[0]}"`);
  }
  requireSafePath();
  const settings = await loadSettings(line.value("config"));
  const findings = [
    { what: "config", isGood: true, detail: "good" },
    ...await lookAtTempfile(settings),
    ...await checkSource(settings),
    await finding("filters", async () => {
      const filters = await openFilters(settings.config);
      return filters.map(({ encoder }) => encoder.command.program).join(", ") || "none";
    }),
    await finding("storage", () => checkStorage(settings)),
  ];
  if (line.has("json")) printJson(findings);
  else print(table(findings.map(describe)));
  return findings.every(({ isGood }) => isGood) ? ExitStatus.Done : ExitStatus.Failed;
}

function describe({ what, isGood, detail, remedy }: Finding): string[] {
  return [isGood ? "ok" : "FAILED", what, remedy === undefined ? detail : `${detail}; ${remedy}`];
}

/** Turn what throws into a finding. */
async function finding(what: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { what, isGood: true, detail: await look() };
  } catch (error) {
    if (!(error instanceof PlasmaError) || statusOf(error) === ExitStatus.Locked) throw error;
    return { what, isGood: false, detail: error.message, remedy: error.remedy };
  }
}

async function lookAtTempfile({ config: { tempfile } }: Settings): Promise<Finding[]> {
  return tempfile === undefined ? [] : [await finding("tempfile", () => checkTempfile(tempfile))];
}

async function checkSource(settings: Settings): Promise<Finding[]> {
  const { config } = settings;
  const strategy = await openStrategy({ config, ownPaths: ownPaths(settings) });
  const tools = await finding(`strategy ${config.strategy}`, async () => {
    await strategy.prepare();
    return "its programs are there";
  });
  if (!tools.isGood) return [tools];
  let coverage: Coverage | undefined;
  const folders = await finding("folders", async () => {
    coverage = (await strategy.survey()).coverage;
    const there = `${config.folders.length} folders are there`;
    if (config.strategy !== "btrfs-send") return there;
    const sent = coverage.folders.flatMap(({ snapshots }) => snapshots.map(({ path }) => path));
    return `${there}; whole subvolumes are sent: ${[...new Set(sent)].join(", ")}`;
  });
  const remarks = [...coverage?.warnings ?? [], ...coverage?.notices ?? []];
  return [
    tools,
    folders,
    ...remarks.map((detail) => ({ what: "folders", isGood: true, detail })),
    ...(coverage?.problems ?? []).map((detail) => ({ what: "folders", isGood: false, detail })),
  ];
}

async function checkStorage({ config, destination }: Settings): Promise<string> {
  if (destination.kind === "ssh") await requireTool("ssh");
  await using store = await openStore(destination);
  const state = await store.hello(config.strategy === "btrfs-send");
  const newest = state.newestBytes === undefined
    ? "no archive yet"
    : `the newest archive has ${formatBytes(state.newestBytes)}`;
  const rotation = state.mayRotate ? "" : "; this key may not rotate";
  return `${describeDestination(destination)} answers, ${newest}${rotation}`;
}
