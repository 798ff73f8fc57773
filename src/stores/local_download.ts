import fs from "node:fs";
import { PlasmaError, reasonOf } from "../errors.ts";
import { parseArchiveName, sidecarSuffix } from "../rotation/archive_name.ts";
import type { FileIdentity } from "../system/same_file.ts";
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
  const { bytes, file } = lookAt(path, name);
  const sidecar = readSidecar(path + sidecarSuffix);
  const sha256 = sidecar?.name === name ? sidecar.sha256 : undefined;
  return {
    path,
    file,
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

function lookAt(path: string, name: string): { bytes: number; file: FileIdentity } {
  let reason;
  try {
    const found = fs.lstatSync(path, { bigint: true });
    const { dev, ino, size } = found;
    if (found.isFile() && parseArchiveName(name) !== undefined) {
      return { bytes: Number(size), file: { dev, ino } };
    }
    reason = "it is no archive";
  } catch (error) {
    reason = reasonOf(error);
  }
  throw new PlasmaError("storage", `there is no archive ${name}: ${reason}`, {
    code: "no-archive",
    remedy: "see plasma list",
  });
}
