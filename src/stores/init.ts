import { defaultPolicyText, policyFileName } from "../config/policy.ts";
import { errorCode, PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { isSystemName } from "./system_names.ts";
import { makePrivateFolder, syncFolder, writeDurably } from "../system/durable.ts";

/**
 * Make a storage folder with the default policy: a new folder in an existing one, or an empty one.
 *
 * @returns false if the folder is a storage folder already; it is not changed then
 * @throws {UsageError} if the folder holds something else
 */
export function initStorageFolder(path: string): boolean {
  try {
    if (isFolder(path) || !makePrivateFolder(path)) {
      const names = [...Deno.readDirSync(path)].map(({ name }) => name);
      if (names.includes(policyFileName)) return false;
      if (!names.every(isSystemName)) {
        throw new UsageError(
          "storage",
          `${path} is no storage folder: it is not empty and has no ${policyFileName}`,
          "name a new or an empty folder, or write its policy yourself",
        );
      }
    }
    writeDurably(`${path}/${policyFileName}`, defaultPolicyText);
    syncFolder(path);
    return true;
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    if (errorCode(error) === "ENOENT") {
      throw new UsageError(
        "storage",
        `cannot make ${path}: the folder above it does not exist (is a disk not mounted?)`,
        "make it first",
      );
    }
    throw new PlasmaError("storage", `cannot make ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** True also for a symbolic link to a folder: the admin's own link is as good as the folder. */
function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
