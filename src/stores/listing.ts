import { reasonOf } from "../errors.ts";
import {
  type ArchiveName,
  compareArchives,
  isSubvolumeArchive,
  stampOf,
  timeOf,
} from "../rotation/archive_name.ts";
import type { StorageFolder } from "./folder.ts";
import { readSummary } from "./manifest.ts";
import type { ListedArchive, Listing } from "./mod.ts";
import { readVerifications } from "./verifications.ts";

/**
 * The archives of a storage folder, oldest first, and what else lies there.
 *
 * @param time the local time
 */
export function listFolder(folder: StorageFolder, time: Temporal.ZonedDateTime): Listing {
  const { archives, sidecars, foreign } = folder.contents();
  const now = stampOf(time.toPlainDateTime());
  const { known, ...problem } = verificationsOf(folder, archives);
  const listed: ListedArchive[] = [];
  for (const { name, stamp, label, kind } of [...archives].sort(compareArchives)) {
    const bytes = sizeOf(folder, name);
    if (bytes === undefined) continue;
    const complete = sidecars.has(name) || isSubvolumeArchive(name) ? "complete" : "no checksum";
    const state = stamp > now ? "dated in the future" : complete;
    const time = timeOf(stamp).toString();
    listed.push({ name, time, label, kind, bytes, state, ...known.get(name) });
  }
  return { archives: listed, foreign, ...problem };
}

interface Verifications {
  readonly known: ReturnType<typeof readVerifications>;
  readonly problem?: string;
}

function verificationsOf(folder: StorageFolder, archives: readonly ArchiveName[]): Verifications {
  try {
    return { known: readVerifications(folder.journal, new Set(archives.map(({ name }) => name))) };
  } catch (error) {
    const problem = `what was verified is not known, its journal cannot be read: ${
      reasonOf(error)
    }`;
    return { known: new Map(), problem };
  }
}

/** The size of the newest archive in bytes, if there is one. */
export function newestBytes(folder: StorageFolder): number | undefined {
  const newest = folder.contents().archives.reduce<{ name: string; stamp: string } | undefined>(
    (best, archive) => best === undefined || archive.stamp > best.stamp ? archive : best,
    undefined,
  );
  return newest === undefined ? undefined : sizeOf(folder, newest.name);
}

/** The size in bytes, of subvolumes that of the streams they came by; undefined if it has vanished. */
function sizeOf(folder: StorageFolder, name: string): number | undefined {
  const path = `${folder.path}/${name}`;
  if (isSubvolumeArchive(name)) return readSummary(path)?.bytes;
  try {
    return Deno.lstatSync(path).size;
  } catch {
    return undefined;
  }
}
