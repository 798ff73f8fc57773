import fs from "node:fs";
import { PlasmaError } from "../errors.ts";
import { DeepFolders } from "./deep.ts";
import { deepStage, extractStage, listStage, TooLongError, unpackFlags } from "./extract.ts";
import { findAnyLink, findLinks, LinksInTheWay } from "./links.ts";
import { type Reading, readInto, type ReadOutcome } from "./read_into.ts";
import { Target, type TargetOrder } from "./target.ts";

/** What it takes to read an archive; the remedies are our own. */
export type UnpackReading = Omit<Reading, "remedy">;

/**
 * Unpack an archive into a folder.
 *
 * @param members none stands for everything
 * @throws {PlasmaError} if anything of it failed, or the archive is not what was stored
 */
export async function unpack(
  reading: UnpackReading,
  order: TargetOrder,
  members: readonly string[],
): Promise<ReadOutcome> {
  const target = await Target.open(order, reading.folder);
  if (target.isLive) await requireNoLinkInTheWay(reading, target, members);
  const flags = unpackFlags(order.isUntrusted);
  const remedy =
    `trust none of the files that were just unpacked into ${target.unfinished}; try another archive`;
  const outcome = await readAll({ ...reading, remedy }, target, flags, members).catch(
    async (error) => {
      if (!await target.discardIfEmpty()) {
        reading.log.warning(`what was unpacked is not complete, and lies in ${target.unfinished}`);
      }
      throw error;
    },
  );
  const { failure } = outcome;
  const topFile = `${reading.folder}/top.tar`;
  const warnings = await target.finish(flags, topFile).catch((error) => {
    throw failure ?? error;
  });
  if (failure !== undefined) throw failure;
  return { ...outcome, warnings: [...outcome.warnings, ...warnings] };
}

async function requireNoLinkInTheWay(
  reading: UnpackReading,
  target: Target,
  members: readonly string[],
): Promise<void> {
  const { log, signal } = reading;
  const what = "look for links";
  const any = await target.run(what, findAnyLink(members), { signal });
  if (any.length === 0) return;
  log.info("the target holds symbolic links: reading the archive for what they are in it");
  const file = `${reading.folder}/folders`;
  const links = new LinksInTheWay(async (folders) => {
    fs.writeFileSync(file, folders);
    const input = fs.openSync(file, "r");
    try {
      return await target.run(what, findLinks(target.isConfined), { signal, input });
    } finally {
      fs.closeSync(input);
    }
  });
  const remedy = "nothing was unpacked; try another archive";
  const list = listStage(members);
  const { failure } = await readInto({ ...reading, remedy }, list, (name) => links.add(name));
  if (failure !== undefined) throw failure;
  await links.flush();
  links.require(target.path);
}

/** Unpack all, and once more what has names that are too long for the kernel. */
async function readAll(
  reading: Reading,
  target: Target,
  flags: readonly string[],
  members: readonly string[],
): Promise<ReadOutcome> {
  const stage = target.stage(extractStage(flags, members));
  const outcome = await readInto(reading, stage, "ignore");
  const { failure } = outcome;
  // What is unpacked again is removed first: nothing of the user's may be among it.
  if (!(failure instanceof TooLongError) || target.isLive) return outcome;
  reading.log.info("some names are too long for the kernel: reading the archive again for them");
  const deep = new DeepFolders(members);
  const listing = await readInto(reading, listStage(members), (name) => deep.add(name));
  if (listing.failure !== undefined) return listing;
  if (!deep.isComplete || failure.count > deep.countTooLong()) return outcome;
  return { ...outcome, failure: await unpackDeep(reading, target, flags, deep) };
}

/** Go down to each folder that cannot be reached from the target, and unpack it there. */
async function unpackDeep(
  reading: Reading,
  target: Target,
  flags: readonly string[],
  deep: DeepFolders,
): Promise<PlasmaError | undefined> {
  for (const one of deep.all) {
    const stage = target.stage(deepStage(flags, one));
    const { failure } = await readInto(reading, stage, "ignore");
    const isExpected = failure instanceof TooLongError &&
      failure.count <= deep.countTooLong(one);
    if (failure !== undefined && !isExpected) return failure;
  }
  return undefined;
}
