import { aliasesOf, type Mount } from "./mounts.ts";
import { isWithin, joinPath, parentOf, relativePath } from "./paths.ts";

/** A configured folder, and where it really is: symbolic links above it resolved. */
export interface Located {
  readonly folder: string;
  readonly real: string;
}

/** Where a folder really is: links above it resolved, but not the folder itself. */
export async function locate(folder: string): Promise<Located> {
  if (folder === "/") return { folder, real: folder };
  const parent = await Deno.realPath(parentOf(folder));
  return { folder, real: joinPath(parent, folder.slice(folder.lastIndexOf("/") + 1)) };
}

/** Where paths are seen through the folders, to which links and several mounts may lead. */
export async function seenThrough(
  folders: readonly Located[],
  paths: readonly string[],
  mounts: readonly Mount[],
): Promise<string[]> {
  const real = await Promise.all(paths.map(realPathOf));
  const places = [...paths, ...real.flatMap((path) => aliasesOf(path, mounts))];
  const seen = folders.flatMap(({ folder, real }) =>
    places.filter((place) => isWithin(place, real))
      .map((place) => joinPath(folder, relativePath(place, real)))
  );
  return [...new Set([...places, ...seen])];
}

/** The path without symbolic links, as far as it exists. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch {
    if (path === "/") return path;
    return joinPath(await realPathOf(parentOf(path)), path.slice(path.lastIndexOf("/") + 1));
  }
}
