import { PlasmaError, reasonOf } from "../errors.ts";
import { parseArchiveName, sidecarSuffix } from "../rotation/archive_name.ts";
import type { StorageFolder } from "./folder.ts";
import type { Download } from "./mod.ts";
import { readSidecar } from "./sidecar.ts";

/** An archive in a folder on this machine, and what is known of it. */
export interface LocalArchive extends Download {
  readonly bytes: number;
}

/**
 * Open an archive for reading.
 *
 * @throws {PlasmaError} if there is no archive of that name
 */
export function openArchive(folder: StorageFolder, name: string): LocalArchive {
  const path = `${folder.path}/${name}`;
  const bytes = sizeOf(path, name);
  const sidecar = readSidecar(path + sidecarSuffix);
  const sha256 = sidecar?.name === name ? sidecar.sha256 : undefined;
  return {
    path,
    bytes,
    // Of the sidecar, if there is one that belongs to this archive.
    sha256,
    headerLimit: undefined,
    onOpen() {},
    kill() {},
    finish(_, read) {
      if (read === bytes) return Promise.resolve(sha256);
      throw new PlasmaError("storage", `${name} has ${bytes} bytes, but ${read} could be read`, {
        code: "damaged",
      });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function sizeOf(path: string, name: string): number {
  let reason;
  try {
    const { isFile, size } = Deno.lstatSync(path);
    if (isFile && parseArchiveName(name) !== undefined) return size;
    reason = "it is no archive";
  } catch (error) {
    reason = reasonOf(error);
  }
  throw new PlasmaError("storage", `there is no archive ${name}: ${reason}`, {
    code: "no-archive",
    remedy: "see plasma list",
  });
}
