import fs from "node:fs";
import type { SshSettings } from "../config/agent.ts";
import { isNotFound, reasonOf, UsageError } from "../errors.ts";

/**
 * Make sure that the files by which a storage host is reached are there: ssh says little of one that is
 * missing, and asks for something else instead.
 *
 * @throws {UsageError} that names the key of the config and the file
 */
export function requireSshFiles({ identityFile, knownHostsFile }: SshSettings): void {
  // The key itself may be in an agent: then ssh wants only the public one.
  if (identityFile !== undefined && !isReadable(`${identityFile}.pub`)) {
    requireReadable(
      "ssh.identityFile",
      identityFile,
      "make it with ssh-keygen, or name another one",
    );
  }
  if (knownHostsFile !== undefined) {
    requireReadable("ssh.knownHostsFile", knownHostsFile, "write the storage host's key into it");
  }
}

function requireReadable(key: string, path: string, remedy: string): void {
  const problem = problemOf(path);
  if (problem === undefined) return;
  throw new UsageError(
    "config",
    `cannot read ${key} ${path}: ${reasonOf(problem)}`,
    isNotFound(problem) ? remedy : "run as a user who may read it",
  );
}

const isReadable = (path: string) => problemOf(path) === undefined;

/** Why a file cannot be read. */
function problemOf(path: string): unknown {
  try {
    fs.closeSync(fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK));
    return undefined;
  } catch (error) {
    return error;
  }
}
