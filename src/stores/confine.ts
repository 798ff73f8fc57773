import { policyFileName } from "../config/policy.ts";
import { isNotFound, PlasmaError } from "../errors.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";

/**
 * The storage folder that a request means: without links, the root or below it, and not inside
 * another storage folder, an archive or `.plasma`, where clients have a say in what lies there. A
 * refusal does not tell what exists outside of the root.
 *
 * @param root every request is confined to this folder; absolute, without links
 * @throws {PlasmaError} with the code "outside" if the request may not use that folder
 */
export async function confine(folder: string, root: string | undefined): Promise<string> {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f]/.test(folder) || folder.split("/").includes("..")) throw refusal(folder);
  const real = await realPath(folder);
  if (real === undefined) {
    if (root !== undefined) throw refusal(folder);
    // Whoever opens it says best why it cannot be.
    return folder;
  }
  const way = wayBelow(root ?? "/", real);
  if (way === undefined) throw refusal(folder);
  if (way.some(belongsToPlasma) || foldersOn(root ?? "/", way).some(isStorageFolder)) {
    throw refusal(folder, ": it lies within another one, within an archive or within .plasma");
  }
  return real;
}

function refusal(folder: string, why = ""): PlasmaError {
  return new PlasmaError(
    "storage",
    `there is no storage folder ${folder} among those that this key may use${why}`,
    { code: "outside" },
  );
}

async function realPath(folder: string): Promise<string | undefined> {
  try {
    return await Deno.realPath(folder.startsWith("/") ? folder : `${Deno.cwd()}/${folder}`);
  } catch {
    return undefined;
  }
}

/** The names that lead from a root to a path; undefined if they do not. */
function wayBelow(root: string, path: string): string[] | undefined {
  const base = root === "/" ? "" : root;
  if (path !== root && !path.startsWith(`${base}/`)) return undefined;
  return path.slice(base.length).split("/").filter((name) => name !== "");
}

/** The root and the folders on the way, without the one that it leads to. */
function foldersOn(root: string, way: readonly string[]): string[] {
  return way.map((_, index) => [root === "/" ? "" : root, ...way.slice(0, index)].join("/"));
}

function belongsToPlasma(name: string): boolean {
  return name === ".plasma" || parseArchiveName(name) !== undefined;
}

/** True also if nobody can say. */
function isStorageFolder(path: string): boolean {
  try {
    Deno.lstatSync(`${path}/${policyFileName}`);
    return true;
  } catch (error) {
    return !isNotFound(error);
  }
}
