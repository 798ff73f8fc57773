import { policyFileName } from "../config/policy.ts";
import { describeError, PlasmaError, reasonOf } from "../errors.ts";
import { StorageFolder } from "../stores/folder.ts";
import { type History, isShared, readHistory } from "../stores/history.ts";
import { countTornUploads } from "../stores/incoming.ts";
import { listFolder } from "../stores/listing.ts";
import type { ListedArchive } from "../stores/mod.ts";
import { isSystemName } from "../stores/system_names.ts";

/** What is found in one machine's storage folder. */
export type FolderFindings =
  | {
    readonly kind: "read";
    readonly folder: string;
    /** Oldest first. */
    readonly archives: readonly ListedArchive[];
    readonly foreign: readonly string[];
    /** Uploads that no process writes any more. */
    readonly torn: number;
    /** What the journal tells. */
    readonly history?: History;
    readonly isShared?: boolean;
    /** What keeps this from being complete. */
    readonly problem?: string | undefined;
  }
  | { readonly kind: "unreadable"; readonly folder: string; readonly reason: string };

/**
 * Look at storage folders. A folder with a policy is one; of another one the folders in it are looked
 * at, so that the folder of all machines is enough. Files are passed over: "/data/backup/*" may do.
 *
 * @returns a row for each storage folder, however often it is named, and for each folder that should be one
 * but cannot be read
 */
export async function surveyFolders(
  folders: readonly string[],
  now: Temporal.ZonedDateTime,
): Promise<FolderFindings[]> {
  const found = await Promise.all(folders.map(findStorageFolders));
  return await Promise.all(
    withoutDoubles(found.flat()).map(async (place) =>
      typeof place === "string" ? await readFolder(place, now) : place
    ),
  );
}

/** A folder may be named itself, and with the one above it, and through a link. */
function withoutDoubles(places: readonly (string | Unreadable)[]): (string | Unreadable)[] {
  const real = places.map((place) => realPathOf(typeof place === "string" ? place : place.folder));
  return places.filter((_, index) => real.indexOf(real[index]!) === index);
}

function realPathOf(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}

type Unreadable = Extract<FolderFindings, { kind: "unreadable" }>;

function findStorageFolders(folder: string): (string | Unreadable)[] {
  // For "/data/backup/*" on a filesystem of its own.
  if (isSystemName(folder.split("/").at(-1)!)) return [];
  try {
    if (Deno.statSync(folder).isFile) return [];
    if (hasPolicy(folder)) return [folder];
    const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
    // Without its policy a folder full of archives is no empty folder: something is wrong with it.
    if (entries.some(({ name }) => /^\d{8}-\d{4,6}-[a-z]+\.(?:tar|btrfs)/.test(name))) {
      return [{ kind: "unreadable", folder, reason: `it has archives but no ${policyFileName}` }];
    }
    const found = entries.filter(({ isDirectory, isSymlink }) => isDirectory || isSymlink)
      .filter(({ name }) => !isSystemName(name))
      .flatMap(({ name }) => storageFolderOrProblem(`${folder}/${name}`));
    if (found.length > 0) return found;
    const reason = `it has no ${policyFileName}: is its disk mounted?`;
    return [{ kind: "unreadable", folder, reason }];
  } catch (error) {
    return [{ kind: "unreadable", folder, reason: reasonOf(error) }];
  }
}

function storageFolderOrProblem(path: string): (string | Unreadable)[] {
  try {
    return hasPolicy(path) ? [path] : [];
  } catch (error) {
    return [{ kind: "unreadable", folder: path, reason: reasonOf(error) }];
  }
}

function hasPolicy(folder: string): boolean {
  try {
    // Fails with EACCES, and not as if it were missing, where the folder cannot be entered.
    Deno.lstatSync(`${folder}/${policyFileName}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

async function readFolder(path: string, now: Temporal.ZonedDateTime): Promise<FolderFindings> {
  try {
    const folder = await StorageFolder.open(path);
    const { archives, foreign, problem } = listFolder(folder, now);
    const torn = await countTornUploads(folder);
    const history = readHistory(folder.journal);
    const shared = isShared(history.stored, now.toInstant());
    return {
      kind: "read",
      folder: path,
      archives,
      foreign,
      torn,
      history,
      isShared: shared,
      problem,
    };
  } catch (error) {
    const reason = error instanceof PlasmaError ? describeError(error) : reasonOf(error);
    return { kind: "unreadable", folder: path, reason };
  }
}
