import { PlasmaError, reasonOf } from "../errors.ts";

/** Commits need link(2); better to know before the upload than after it. */
export function requireHardLinks(part: string, folder: string): void {
  const probe = part.replace(/\.part$/, ".received");
  try {
    Deno.linkSync(part, probe);
    Deno.removeSync(probe);
  } catch (error) {
    throw hardLinksError(folder, error);
  }
}

export function hardLinksError(folder: string, error: unknown): PlasmaError {
  return new PlasmaError(
    "storage",
    `the filesystem of ${folder} cannot make hard links: ${reasonOf(error)}`,
    { remedy: "use a filesystem that can (ext4, btrfs, xfs ...)", cause: error },
  );
}
