import { joinPath, parentOf, relativePath } from "../btrfs/reach.ts";
import { isWithin } from "../system/mounts.ts";
import type { Settings } from "./settings.ts";

/**
 * What a run writes itself and must not be archived, because it would grow while it is read: under
 * all names by which the folders lead to it, whatever symbolic links are in between.
 */
export async function ownPaths({ config, destination }: Settings): Promise<string[]> {
  const own = [
    ...(config.tempfile === undefined ? [] : [config.tempfile]),
    ...(destination.kind === "local" ? [destination.folder] : []),
  ];
  const reals = await Promise.all(own.map(realPath));
  const names = await Promise.all(config.folders.map(async (folder) => {
    const real = await realPath(folder);
    return reals.filter((path) => isWithin(path, real))
      .map((path) => joinPath(folder, relativePath(path, real)));
  }));
  return [...new Set([...own, ...names.flat()])];
}

/** The path without symbolic links, as far as it exists. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch {
    if (path === "/") return path;
    return joinPath(await realPath(parentOf(path)), path.slice(path.lastIndexOf("/") + 1));
  }
}
