import { eachSubvolume } from "../btrfs/list.ts";
import { readSubvolumeIds, subvolumeInode } from "../btrfs/subvolumes.ts";
import { PlasmaError } from "../errors.ts";
import { compareArchives, isSubvolumeArchive } from "../rotation/archive_name.ts";
import { run } from "../system/process.ts";
import type { FolderContents, StorageFolder } from "./folder.ts";
import { manifestName, readManifest } from "./manifest.ts";

/** No more are told to agents; those of the newest archives. */
const mostIdentities = 50_000;
/** So many bytes of manifests are read for that; ten thousand subvolumes of docker take 3 MB. */
const mostBytes = 128 << 20;

/**
 * Make sure that subvolumes can be received in a folder.
 *
 * @throws {PlasmaError} if it is not on btrfs
 */
export async function requireBtrfsStorage(folder: StorageFolder): Promise<void> {
  const args = ["inspect-internal", "rootid", folder.path];
  const { exit, messages } = await run({ program: "btrfs", args });
  if (exit.code === 0) return;
  const what = /not a btrfs/i.test(messages.tail) ? "is not on btrfs" : `: ${messages.tail}`;
  throw new PlasmaError("storage", `the storage folder ${folder.path} ${what}`, {
    code: "not-btrfs",
    remedy: 'store it on btrfs, or use the strategy "btrfs-snapshot"',
  });
}

/**
 * The identities of the stored subvolumes that still are what was received, as far as one list of the
 * filesystem tells: a wrong one costs no more than an increment that is refused.
 */
export async function storedIdentities(folder: StorageFolder): Promise<string[]> {
  const stored = namedIdentities(folder);
  if (stored.size === 0) return [];
  const readOnly = new Set<string>();
  await eachSubvolume(folder.path, { readOnly: true }, ({ receivedUuid }) => {
    if (receivedUuid !== undefined && stored.has(receivedUuid)) readOnly.add(receivedUuid);
  });
  return [...stored].filter((identity) => readOnly.has(identity));
}

/** What the manifests name and is there; that of the newest archives, and not all. */
function namedIdentities(folder: StorageFolder): ReadonlySet<string> {
  const named = new Set<string>();
  let bytes = 0;
  for (const { name } of archivesOf(folder).reverse()) {
    const path = `${folder.path}/${name}`;
    bytes += sizeOf(`${path}/${manifestName}`);
    if (bytes > mostBytes) break;
    for (const { name, identity } of readManifest(path)?.subvolumes ?? []) {
      if (!named.has(identity) && isSubvolume(`${path}/${name}`)) named.add(identity);
    }
    if (named.size >= mostIdentities) break;
  }
  return named;
}

/** A rotation may have removed it meanwhile. */
function sizeOf(path: string): number {
  try {
    return Deno.lstatSync(path).size;
  } catch {
    return 0;
  }
}

/**
 * Where subvolumes lie that are in an archive, and still are what was received, by identity. Of several
 * it is that of the oldest archive: what came later under the same identity proves nothing of its own.
 */
export async function findStoredSubvolumes(
  folder: StorageFolder,
  wanted: ReadonlySet<string>,
): Promise<ReadonlyMap<string, string>> {
  const archives = archivesOf(folder);
  const found = new Map<string, string>();
  if (archives.length === 0) return found;
  // The list is that of the filesystem, and tells only the end of a path: others may have the same.
  const intact = new Map<string, Set<string>>();
  await eachSubvolume(folder.path, { readOnly: true }, ({ receivedUuid, path }) => {
    if (receivedUuid === undefined || !wanted.has(receivedUuid)) return;
    const end = path.split("/").slice(-2).join("/");
    intact.set(end, (intact.get(end) ?? new Set()).add(receivedUuid));
  });
  if (intact.size === 0) return found;
  // Only of these the manifests are read, which may have many megabytes.
  const holders = new Set([...intact.keys()].map((end) => end.slice(0, end.indexOf("/"))));
  for (const { name: archive } of archives.filter(({ name }) => holders.has(name))) {
    if (found.size === wanted.size) break;
    for (const { name, identity } of readManifest(`${folder.path}/${archive}`)?.subvolumes ?? []) {
      const path = `${folder.path}/${archive}/${name}`;
      const uuids = intact.get(`${archive}/${name}`);
      if (uuids?.has(identity) !== true || found.has(identity) || !isSubvolume(path)) continue;
      if (uuids.size === 1 || await hasReceived(path, identity)) found.set(identity, path);
    }
  }
  return found;
}

async function hasReceived(path: string, identity: string): Promise<boolean> {
  const { receivedUuid, readOnly } = await readSubvolumeIds(path);
  return readOnly && receivedUuid === identity;
}

/** The oldest first. */
function archivesOf(folder: StorageFolder): FolderContents["archives"][number][] {
  return folder.contents().archives.filter(({ name }) => isSubvolumeArchive(name))
    .sort(compareArchives);
}

function isSubvolume(path: string): boolean {
  try {
    const { isDirectory, ino } = Deno.lstatSync(path);
    return isDirectory && ino === subvolumeInode;
  } catch {
    return false;
  }
}
