import { eachSubvolume } from "../btrfs/list.ts";
import { subvolumeInode } from "../btrfs/subvolumes.ts";
import { compareArchives, isSubvolumeArchive } from "../rotation/archive_name.ts";
import type { StorageFolder } from "./folder.ts";
import { readManifest } from "./manifest.ts";

/** No more are told to agents; those of the newest archives. */
const mostIdentities = 50_000;

/**
 * The identities of the stored subvolumes that still are what was received, as far as one list of the
 * filesystem tells: a wrong one costs no more than an increment that is refused.
 */
export async function storedIdentities(folder: StorageFolder): Promise<string[]> {
  const stored = storedPaths(folder);
  if (stored.size === 0) return [];
  const readOnly = new Set<string>();
  await eachSubvolume(folder.path, { readOnly: true }, ({ receivedUuid }) => {
    if (receivedUuid !== undefined && stored.has(receivedUuid)) readOnly.add(receivedUuid);
  });
  return [...stored.keys()].filter((identity) => readOnly.has(identity));
}

/** Where stored subvolumes lie, by identity; those of the newest archives first, and not all. */
export function storedPaths(folder: StorageFolder): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const archives = folder.contents().archives.filter(({ name }) => isSubvolumeArchive(name));
  for (const { name } of archives.sort((a, b) => compareArchives(b, a))) {
    const path = `${folder.path}/${name}`;
    for (const record of readManifest(path)?.subvolumes ?? []) {
      const stored = `${path}/${record.name}`;
      if (!found.has(record.identity) && isSubvolume(stored)) found.set(record.identity, stored);
    }
    if (found.size >= mostIdentities) break;
  }
  return found;
}

function isSubvolume(path: string): boolean {
  try {
    const { isDirectory, ino } = Deno.lstatSync(path);
    return isDirectory && ino === subvolumeInode;
  } catch {
    return false;
  }
}
