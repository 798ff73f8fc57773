import { PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { isNotFound } from "../errors.ts";
import { isWithin } from "../system/paths.ts";

/**
 * Make sure that a folder can take a restore, and create it if it does not exist.
 *
 * A folder that holds something already may hold symbolic links to folders elsewhere, through which
 * tar would write; so with `intoExisting` every link in it must lead to a place within it.
 *
 * @returns the path without symbolic links
 * @throws {UsageError} if it is not empty and `intoExisting` is false, or a link leads out of it
 */
export async function prepareTarget(path: string, intoExisting: boolean): Promise<string> {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (isNotFound(error)) {
      throw new UsageError("restore", `the folder above ${path} does not exist`, "make it first");
    }
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw new PlasmaError("restore", `cannot make ${path}: ${reasonOf(error)}`);
    }
  }
  const real = await Deno.realPath(path);
  if (!Deno.statSync(real).isDirectory) {
    throw new UsageError("restore", `${path} is not a folder`, "name another --target");
  }
  if (isEmpty(real)) return real;
  if (!intoExisting) {
    throw new UsageError(
      "restore",
      `${path} is not empty`,
      "name a new folder, or say --into-existing to overwrite what is in the archive too",
    );
  }
  if (real !== "/") requireLinksWithin(real, real);
  return real;
}

function isEmpty(path: string): boolean {
  for (const _ of Deno.readDirSync(path)) return false;
  return true;
}

function requireLinksWithin(folder: string, target: string): void {
  for (const { name, isSymlink, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) requireLinksWithin(path, target);
    else if (isSymlink && leadsOut(path, target)) {
      throw new UsageError(
        "restore",
        `${path} is a symbolic link to a folder outside of ${target}: what is restored could go there`,
        "remove the link, or restore into a new folder",
      );
    }
  }
}

/**
 * True for links to folders elsewhere, also for dangling ones that lead up again from a folder which
 * the archive may bring: "new/../..".
 */
function leadsOut(path: string, target: string): boolean {
  try {
    const real = Deno.realPathSync(path);
    return !isWithin(real, target) && Deno.statSync(real).isDirectory;
  } catch {
    return /(?:^|\/)(?!\.{1,2}\/)[^/]+\/(?:.*\/)?\.\.(?:\/|$)/s.test(Deno.readLinkSync(path));
  }
}
