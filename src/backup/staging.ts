import fs from "node:fs";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { createPrivate, removeIfPresent } from "../system/durable.ts";

/**
 * The file in which an archive is put down before it is uploaded: `tempfile` of the config. It is
 * new, mode 0600, and never reached through a symbolic link.
 */
export class StagingFile implements Disposable {
  private constructor(readonly path: string) {}

  /**
   * Create the file. One that a killed run left there is replaced, as Plasma 1.0 did.
   *
   * @throws {PlasmaError} if something else is in the way
   */
  static create(path: string): StagingFile {
    try {
      removeLeftover(path);
      fs.closeSync(createPrivate(path));
      return new StagingFile(path);
    } catch (error) {
      if (error instanceof PlasmaError) throw error;
      throw new PlasmaError("staging", `cannot create tempfile ${path}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  [Symbol.dispose](): void {
    removeIfPresent(this.path);
  }
}

function removeLeftover(path: string): void {
  let found;
  try {
    found = Deno.lstatSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  if (!found.isFile || found.uid !== Deno.uid()) {
    const what = found.isFile ? "belongs to somebody else" : "is not a regular file";
    throw new PlasmaError("staging", `tempfile ${path} exists and ${what}`, {
      remedy: "remove it, or take another path",
    });
  }
  Deno.removeSync(path);
}
