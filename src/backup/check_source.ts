import { explainNothing } from "../strategies/contributions.ts";
import {
  type Coverage,
  openStrategy,
  type Source,
  type StreamSource,
  type Survey,
} from "../strategies/mod.ts";
import { start } from "../system/process.ts";
import { formatBytes } from "../system/progress.ts";
import type { RunPlace } from "../system/runtime_folder.ts";
import type { Checkup } from "./checkup.ts";
import { ownPaths, type Settings } from "./settings.ts";

/**
 * Look at what would be archived, and try what a run does with it: freeze it, and list it.
 *
 * @param place undefined if another check is under way: then nothing is frozen
 */
export async function checkSource(
  checkup: Checkup,
  settings: Settings,
  place: RunPlace | undefined,
): Promise<void> {
  const { config } = settings;
  const strategy = await openStrategy({ config, ownPaths: ownPaths(settings) });
  const isPrepared = await checkup.look(`strategy ${config.strategy}`, async () => {
    await strategy.prepare();
    return "its programs are there";
  });
  if (!isPrepared) return;
  const surveys: Survey[] = [];
  await checkup.look("folders", async () => {
    const survey = await strategy.survey();
    surveys.push(survey);
    return describeFolders(settings, survey.coverage);
  });
  for (const survey of surveys) {
    const { notices, warnings, problems } = survey.coverage;
    checkup.add("folders", "ok", notices);
    checkup.add("folders", "warning", warnings);
    checkup.add("folders", "failed", problems);
    if (place !== undefined) await tryOut(checkup, survey, place);
  }
}

function describeFolders({ config }: Settings, { folders }: Coverage): string {
  const there = `${config.folders.length} folders are there`;
  if (config.strategy !== "btrfs-send") return there;
  const sent = folders.flatMap(({ snapshots }) => snapshots.map(({ path }) => path));
  return `${there}; whole subvolumes are sent: ${[...new Set(sent)].join(", ")}`;
}

/** Open the source as a run does, list it, and close it again. */
async function tryOut(checkup: Checkup, survey: Survey, place: RunPlace): Promise<void> {
  const sources: Source[] = [];
  await checkup.look("source", async () => {
    const source = await survey.open(place);
    sources.push(source);
    return source.frozen ? "can be frozen" : "can be read";
  });
  for (const source of sources) {
    try {
      if (source.archives === "stream") await listMembers(checkup, source);
    } finally {
      checkup.add("source", "failed", await source.close());
    }
  }
}

/** Whoever asks waits no longer than this. */
const longestListSeconds = 120;

/** What a run would archive of each folder, and what tar would say of it. */
async function listMembers(checkup: Checkup, source: StreamSource): Promise<void> {
  const { command, counter, sort } = source;
  if (command === undefined || counter === undefined) return;
  // GNU tar reads no file for an archive that goes to /dev/null, and the list to standard output.
  const flags = command.args.map((word) => word === "--file=-" ? "--file=/dev/null" : word);
  const lister = { ...command, args: [...flags, "--verbose", "--verbose", "--utc"] };
  counter.reset();
  const child = await start(lister, { stdout: "pipe", sort });
  child.process.stdout!.on("data", (chunk: Uint8Array) => counter.add(chunk));
  let isWhole = true;
  const timer = setTimeout(() => {
    isWhole = false;
    child.kill("SIGKILL");
  }, longestListSeconds * 1000);
  const exit = await child.exited;
  clearTimeout(timer);
  if (isWhole) {
    await checkup.look("contents", () => {
      checkup.add("contents", "warning", source.judge(exit, child.messages.lines));
      return "can be listed";
    });
  }
  for (const one of counter.contributions) {
    const { folder, entries, bytes } = one;
    const nothing = isWhole ? await explainNothing(one) : undefined;
    const more = isWhole ? "" : ", and more: there was no time to list it all";
    const words = `${folder}: ${entries} entries, ${formatBytes(bytes)}${more}`;
    if (nothing === undefined) checkup.add("contents", "ok", [words]);
    else checkup.add("contents", "warning", [nothing]);
  }
  // Only reading tells, and that takes as long as a backup.
  if (Deno.uid() !== 0) {
    checkup.add("contents", "warning", ["whether this user may read each file was not tried"]);
  }
}
