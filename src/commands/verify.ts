import { type Arguments, parseCommandLine } from "../cli/args.ts";
import { openFoundStore, storeFlags, storeFlagsHelp } from "../cli/find_store.ts";
import { print, printJson, table } from "../cli/output.ts";
import { Signals } from "../cli/signals.ts";
import { parseDuration } from "../config/values.ts";
import { UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { isEncrypted } from "../filters/encryption.ts";
import { checkTar } from "../restore/check_tar.ts";
import { chooseArchive } from "../restore/choose.ts";
import { sampleOf } from "../restore/sample.ts";
import type { ListedArchive, Listing, Store, Verdict } from "../stores/mod.ts";
import { Log } from "../system/log.ts";
import { formatBytes, formatSeconds } from "../system/progress.ts";
import { PipeFolder } from "../system/runtime_folder.ts";

export const help = `plasma verify [NAME...|--all|--sample 5%] [--deep]

Recompute the checksums of archives where they are stored, and compare them with those of
the day on which they were stored. Without a NAME: of the latest one. An archive without a
checksum is not "ok". Ends with status 1 if any archive is not ok.

  --all             all archives
  --sample P%       so many of them, those that were not verified for the longest time:
                    with 5% every night each archive is verified every twenty nights
  --deep            also decompress each archive and read its tar through, within limits of
                    memory and time; encrypted ones are read through only with
  --identity FILE   the secret key: then they are fetched and decrypted here
  --timeout TIME    to read an archive through may take so long (by default an hour, and more
                    if it is large; a storage host has the default)
  --json            print a list of {name, state, detail, bytes}

${storeFlagsHelp}`;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("verify", args, {
    switches: ["all", "deep"],
    values: [...storeFlags, "sample", "identity", "timeout"],
  });
  const log = new Log(line.log);
  const signals = new Signals();
  try {
    await using folder = await PipeFolder.make();
    await using store = await openFoundStore(line, {
      signal: signals.first,
      folder: folder.path,
      purpose: "verify",
    });
    timeoutOf(line);
    const chosen = choose(line, await store.list(), store.name);
    if (chosen.length === 0) log.info(`no archives in ${store.name}`);
    const verdicts: Verdict[] = [];
    for (const archive of chosen) {
      signals.first.throwIfAborted();
      const verdict = await verifyOne(store, archive, line, { log, folder: folder.path });
      verdicts.push(verdict);
      if (!line.has("json")) print(table([[verdict.name, verdict.state, verdict.detail]]));
    }
    if (line.has("json")) printJson(verdicts);
    const bad = verdicts.filter(({ state }) => state !== "ok");
    if (bad.length === 0) return ExitStatus.Done;
    log.error(
      `verify: ${bad.length} of ${verdicts.length} archives are not ok: ` +
        bad.map(({ name, state }) => `${name} (${state})`).join(", "),
    );
    return ExitStatus.Failed;
  } finally {
    signals.stop();
  }
}

function choose(line: Arguments, listing: Listing, store: string): readonly ListedArchive[] {
  const sample = line.value("sample");
  const ways = [line.has("all"), sample !== undefined, line.positional.length > 0];
  if (ways.filter((way) => way).length > 1) {
    throw new UsageError("command line", "NAMEs, --all and --sample exclude each other");
  }
  if (line.has("all")) return listing.archives;
  if (sample !== undefined) return sampleOf(sample, listing.archives);
  if (line.positional.length === 0 && listing.archives.length === 0) return [];
  const words = line.positional.length === 0 ? ["latest"] : line.positional;
  return words.map((word) => chooseArchive(word, listing, store));
}

async function verifyOne(
  store: Store,
  { name, bytes }: ListedArchive,
  line: Arguments,
  { log, folder }: { log: Log; folder: string },
): Promise<Verdict> {
  const start = performance.now();
  const deep = line.has("deep");
  const identity = line.value("identity");
  log.detail(`verifying ${name}`);
  let verdict = await store.verify(name, { deep, timeoutSeconds: timeoutOf(line) });
  if (verdict.state === "ok" && deep && identity !== undefined && isEncrypted(name)) {
    verdict = await readThroughHere(store, { name, bytes }, identity, line, folder);
  }
  const seconds = (performance.now() - start) / 1000;
  log.detail(`${formatBytes(verdict.bytes)} in ${formatSeconds(seconds)}`);
  return verdict;
}

/** How long the reading of one archive may take, in seconds, if the command line says so. */
function timeoutOf(line: Arguments): number | undefined {
  const text = line.value("timeout");
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds > 0) return seconds;
  throw new UsageError("command line", `--timeout: "${text}" is not a time such as "12h"`);
}

/** The secret key stays here: the archive comes to it. */
async function readThroughHere(
  store: Store,
  { name, bytes }: Pick<ListedArchive, "name" | "bytes">,
  identity: string,
  line: Arguments,
  folder: string,
): Promise<Verdict> {
  await using download = await store.fetch(name, folder);
  return {
    name,
    bytes,
    ...await checkTar(download, { name, bytes }, identity, {
      timeoutSeconds: timeoutOf(line),
    }),
  };
}
