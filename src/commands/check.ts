import { checkSource } from "../backup/check_source.ts";
import { Checkup, type Finding } from "../backup/checkup.ts";
import { remarksOnOthers, remarksOnRoom } from "../backup/remarks.ts";
import { requireAnswer, requireRunTools } from "../backup/run_tools.ts";
import { agentOf, loadSettings, requireTrustedFiles, type Settings } from "../backup/settings.ts";
import { checkTempfile } from "../backup/staging.ts";
import { parseCommandLine } from "../cli/args.ts";
import { print, printJson, table } from "../cli/output.ts";
import { agentConfigPlaces } from "../config/agent.ts";
import { describeDestination } from "../config/destination.ts";
import { UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { openFilters } from "../filters/mod.ts";
import { openStore } from "../stores/mod.ts";
import { machineIdentity } from "../system/identity.ts";
import { formatBytes } from "../system/progress.ts";
import { ownerOf } from "../system/run_id.ts";
import { RunPlace } from "../system/runtime_folder.ts";
import { requireSafePath } from "../system/tools.ts";

export const help = `plasma check [--config FILE] [--json]

Try everything that a backup needs: the config, the programs, the folders and their snapshots,
the storage, where a file is made and removed, and its policy. Says what each folder will
contribute, and of each finding how to mend it. Nothing stays changed, and no hook is run. Ends
with status 0 if a backup would work, 1 if it would fail, 2 if the config is wrong.

  --config FILE  default: ${agentConfigPlaces.join(", ")}`;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("check", args, { values: ["config"] });
  if (line.positional.length > 0) {
    throw new UsageError("command line", `unexpected argument "${line.positional[0]}"`);
  }
  requireSafePath();
  const settings = await loadSettings(line.value("config"));
  requireTrustedFiles(settings.config);
  const checkup = new Checkup();
  await look(checkup, settings);
  if (line.has("json")) printJson(checkup.findings.map(withFlag));
  else print(table(checkup.findings.map(describe)));
  return checkup.isGood ? ExitStatus.Done : ExitStatus.Failed;
}

/** For those who only want to know whether it is good. */
const withFlag = (finding: Finding) => ({ ...finding, isGood: finding.state !== "failed" });

const signs: Readonly<Record<Finding["state"], string>> = {
  ok: "ok",
  warning: "WARNING",
  failed: "FAILED",
};

function describe({ what, state, detail, remedy }: Finding): string[] {
  return [signs[state], what, remedy === undefined ? detail : `${detail}; ${remedy}`];
}

async function look(checkup: Checkup, settings: Settings): Promise<void> {
  const { config, destination } = settings;
  checkup.add("config", "ok", ["good"]);
  const hasTools = await checkup.look("programs", async () => {
    await requireRunTools(destination);
    return "there";
  });
  const { tempfile } = config;
  if (tempfile !== undefined) await checkup.look("tempfile", () => checkTempfile(tempfile));
  await checkup.look("filters", async () => {
    const filters = await openFilters(config);
    return filters.map(({ encoder }) => encoder.command.program).join(", ") || "none";
  });
  if (!hasTools) return;
  const places: RunPlace[] = [];
  await checkup.look("lock", async () => {
    const name = describeDestination(destination);
    const { machine } = await machineIdentity();
    // A place and a lock of our own: no run has to wait for us.
    const place = await RunPlace.enter(ownerOf(machine, `check of ${name}`));
    if (place !== undefined) places.push(place);
    else return "another check is under way: no snapshot was tried";
    const isTaken = await RunPlace.isTaken(ownerOf(machine, name));
    return isTaken ? `a backup to ${name} is running` : "no backup is running";
  });
  await using place = places[0];
  await checkSource(checkup, settings, place);
  await checkStorage(checkup, settings, place);
}

async function checkStorage(
  checkup: Checkup,
  settings: Settings,
  place: RunPlace | undefined,
): Promise<void> {
  const { config, destination } = settings;
  await checkup.look("storage", async () => {
    await requireAnswer(destination);
    const folder = place === undefined ? {} : { folder: place.folder };
    await using store = await openStore(destination, folder);
    const { machine } = await machineIdentity();
    const state = await store.hello({
      subvolumes: config.strategy === "btrfs-send",
      probe: true,
      agent: agentOf(machine, settings),
    });
    const newest = state.newestBytes === undefined
      ? "no archive yet"
      : `the newest archive has ${formatBytes(state.newestBytes)}`;
    const free = state.freeBytes === undefined ? "" : `, ${formatBytes(state.freeBytes)} are free`;
    const rotation = state.mayRotate ? "" : "; this key may not rotate";
    checkup.add("storage", "failed", remarksOnRoom(state));
    checkup.add("storage", "warning", remarksOnOthers(state));
    return `${describeDestination(destination)} can be written to, ${newest}${free}${rotation}`;
  });
}
