import { compareArchives, isSubvolumeArchive, stampOf, timeOf } from "../rotation/archive_name.ts";
import type { StorageFolder } from "./folder.ts";
import { readJournal } from "./journal.ts";
import { readManifest, streamBytes } from "./manifest.ts";
import type { ListedArchive, Listing } from "./mod.ts";

/** The archives of a storage folder, oldest first, and what else lies there. */
export function listFolder(folder: StorageFolder): Listing {
  const { archives, sidecars, foreign } = folder.contents();
  const now = stampOf(Temporal.Now.plainDateTimeISO());
  const verified = lastVerified(folder);
  const listed: ListedArchive[] = [];
  for (const { name, stamp, label, kind } of [...archives].sort(compareArchives)) {
    const bytes = sizeOf(folder, name);
    if (bytes === undefined) continue;
    const complete = sidecars.has(name) || isSubvolumeArchive(name) ? "complete" : "no checksum";
    const state = stamp > now ? "dated in the future" : complete;
    const time = timeOf(stamp).toString();
    listed.push({ name, time, label, kind, bytes, state, ...verified.get(name) });
  }
  return { archives: listed, foreign };
}

type LastVerified = Pick<ListedArchive, "verified" | "finding">;

/** When archives were last verified and what was found, as far back as the journal is read. */
function lastVerified(folder: StorageFolder): ReadonlyMap<string, LastVerified> {
  const found = new Map<string, LastVerified>();
  for (const { event, archive, time, state } of readJournal(folder.journal)) {
    if (event !== "verified" || found.has(archive)) continue;
    const finding = state === undefined || state === "ok" ? {} : { finding: state };
    found.set(archive, { verified: time, ...finding });
  }
  return found;
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
  if (isSubvolumeArchive(name)) {
    const manifest = readManifest(path);
    return manifest === undefined ? undefined : streamBytes(manifest);
  }
  try {
    return Deno.lstatSync(path).size;
  } catch {
    return undefined;
  }
}
