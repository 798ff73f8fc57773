import { isNotFound, reasonOf } from "../errors.ts";
import type { StorageFolder } from "../stores/folder.ts";
import { appendToJournal } from "../stores/journal.ts";
import { readSummary } from "../stores/manifest.ts";
import type { RotationReport } from "../stores/mod.ts";
import { removeFiles } from "../stores/remove_files.ts";
import { readSidecar } from "../stores/sidecar.ts";
import { syncFolder } from "../system/durable.ts";
import { localNow } from "../system/local_time.ts";
import { runOwner } from "../system/run_id.ts";
import {
  type ArchiveName,
  compareArchives,
  isSubvolumeArchive,
  sidecarSuffix,
  stampOf,
  timeOf,
} from "./archive_name.ts";
import { type Decision, planRotation, type PlanTimes } from "./plan.ts";

/**
 * Delete what the policy of a storage folder no longer keeps, and say for each archive why. With
 * `dryRun` nothing is changed. An archive that cannot be deleted does not keep the others.
 */
export async function rotateFolder(
  folder: StorageFolder,
  { dryRun, now: given }: { dryRun: boolean; now?: Temporal.PlainDateTime },
): Promise<RotationReport> {
  const now = given ?? (await localNow()).toPlainDateTime();
  using _lock = dryRun ? undefined : await folder.lock();
  const { archives, sidecars, foreign } = folder.contents();
  const times = planTimes(now, folder.policy.keepWithinSeconds);
  const needed = neededParents(folder, archives, now);
  const decisions = planRotation(archives, folder.policy, times, ({ name }) => needed.has(name));
  const doomed = decisions.filter(({ keep }) => !keep);

  const { deleted, failed } = dryRun
    ? { deleted: doomed, failed: [] }
    : await deleteArchives(folder, doomed, sidecars);
  if (!dryRun) {
    const present = new Set(archives.map(({ name }) => name));
    await removeTrash(folder);
    await removeLeftSidecars(folder, [...sidecars].filter((name) => !present.has(name)));
    appendToJournal(
      folder.journal,
      deleted.map(({ archive, reason }) => ({ event: "deleted", archive: archive.name, reason })),
    );
    if (deleted.length > 0) syncFolder(folder.path);
  }
  return {
    folder: folder.path,
    decisions: decisions.map(({ archive, keep, reason }) => ({ name: archive.name, keep, reason })),
    deleted: deleted.map(({ archive }) => archive.name),
    failed,
    future: decisions.filter(({ future }) => future).map(({ archive }) => archive.name),
    foreign,
  };
}

function planTimes(now: Temporal.PlainDateTime, keepWithinSeconds: number): PlanTimes {
  return {
    now: stampOf(now),
    keepSince: stampOf(timeOf(stampOf(now)).subtract({ seconds: keepWithinSeconds })),
  };
}

/**
 * An agent that has not stored for so many days sends all of it when it comes back. A thief can invent
 * any number of agents: what he stored as theirs is not to stay for ever.
 */
const neededDays = 100;

/**
 * The archives that agents need as parents. An agent keeps the snapshots of the newest archive that it
 * has stored here and no older ones; whose an archive is says its manifest.
 */
function neededParents(
  folder: StorageFolder,
  archives: readonly ArchiveName[],
  now: Temporal.PlainDateTime,
): Set<string> {
  const since = stampOf(now.subtract({ days: neededDays }));
  const newest = new Map<string, ArchiveName>();
  for (const archive of archives) {
    if (!isSubvolumeArchive(archive.name) || archive.stamp < since) continue;
    const run = readSummary(`${folder.path}/${archive.name}`)?.run;
    const owner = run === undefined ? undefined : runOwner(run);
    if (owner === undefined) continue;
    const key = `${owner.machine} ${owner.target}`;
    const best = newest.get(key);
    if (best === undefined || compareArchives(archive, best) > 0) newest.set(key, archive);
  }
  return new Set([...newest.values()].map(({ name }) => name));
}

/** The archives go first: one without its sidecar would look like a damaged one. */
async function deleteArchives(
  folder: StorageFolder,
  doomed: readonly Decision[],
  sidecars: ReadonlySet<string>,
): Promise<{ deleted: Decision[]; failed: { name: string; error: string }[] }> {
  const names = doomed.map(({ archive }) => archive.name);
  const deleted = new Set<string>();
  const failed: { name: string; error: string }[] = [];
  for (const name of names.filter(isSubvolumeArchive)) {
    const { deleteSubvolumeArchive } = await import("../stores/subvolume_archive.ts");
    try {
      await deleteSubvolumeArchive(folder, name);
      deleted.add(name);
    } catch (error) {
      if (!isNotFound(error)) failed.push({ name, error: reasonOf(error) });
    }
  }
  const files = await removeFiles(folder, names.filter((name) => !isSubvolumeArchive(name)));
  for (const name of files.removed) deleted.add(name);
  for (const [name, error] of files.failed) failed.push({ name, error });
  const theirs = [...files.removed].filter((name) => sidecars.has(name));
  await removeFiles(folder, theirs.map((name) => name + sidecarSuffix));
  return { deleted: doomed.filter(({ archive }) => deleted.has(archive.name)), failed };
}

/** A rotation that was killed may have left sidecars whose archive is deleted. */
async function removeLeftSidecars(folder: StorageFolder, names: readonly string[]): Promise<void> {
  const left = names.map((name) => ({ name, sidecar: name + sidecarSuffix }))
    .filter(({ name, sidecar }) => readSidecar(`${folder.path}/${sidecar}`)?.name === name);
  await removeFiles(folder, left.map(({ sidecar }) => sidecar));
}

/** A rotation that was killed may have left archives of subvolumes that are deleted in part. */
async function removeTrash(folder: StorageFolder): Promise<void> {
  try {
    Deno.lstatSync(folder.trash);
  } catch {
    return;
  }
  const { emptyTrash } = await import("../stores/subvolume_archive.ts");
  await emptyTrash(folder).catch(() => {});
}
