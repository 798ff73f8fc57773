import { errorCode, isNotFound, PlasmaError, reasonOf, UsageError } from "../errors.ts";
import type { Policy } from "../rotation/policy.ts";
import { NotRegularError, readRegularFile } from "../system/regular_file.ts";
import { maximumConfigSize, parseConfig } from "./load.ts";
import { policyFileName, policySchema } from "./policy.ts";

/**
 * Read the policy of a storage folder.
 *
 * @param path the folder, without links; `name` is what the user calls it
 * @throws {PlasmaError} with the code "no-policy" if there is none
 * @throws {UsageError} if it is not a regular file, or cannot be read
 * @throws {ConfigError} if it is wrong
 */
export function readPolicy(path: string, name: string): Policy {
  const file = `${path}/${policyFileName}`;
  return parseConfig(file, readBytes(file, name), policySchema);
}

function readBytes(file: string, name: string): Uint8Array {
  try {
    return readRegularFile(file, maximumConfigSize);
  } catch (error) {
    if (isNotFound(error)) {
      throw new PlasmaError(
        "storage",
        `${name} is no storage folder: it has no ${policyFileName} (is its disk mounted?)`,
        { code: "no-policy", remedy: `for a new one run: plasma init ${name}` },
      );
    }
    throw new UsageError("config", `cannot read ${file}: ${reasonOf(error)}`, remedyFor(error));
  }
}

function remedyFor(error: unknown): string | undefined {
  if (error instanceof NotRegularError) return "a policy must be a regular file: copy it there";
  return errorCode(error) === "EACCES" ? "run as a user who may read it" : undefined;
}
