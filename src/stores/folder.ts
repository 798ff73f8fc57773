import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { policyFileName } from "../config/policy.ts";
import { readPolicy } from "../config/policy_file.ts";
import { errorCode, isNotFound, PlasmaError, reasonOf } from "../errors.ts";
import { type ArchiveName, parseArchiveName, sidecarSuffix } from "../rotation/archive_name.ts";
import type { Policy } from "../rotation/policy.ts";
import { makePrivateFolder } from "../system/durable.ts";
import { Lock } from "../system/lock.ts";
import type { FileIdentity } from "../system/same_file.ts";
import { readSummary } from "./manifest.ts";
import { isSystemName } from "./system_names.ts";

/** What lies in a storage folder. */
export interface FolderContents {
  /** Committed archives, in no order. */
  readonly archives: readonly ArchiveName[];
  /** The names of archives that have a sidecar, whether the archive is there or not. */
  readonly sidecars: ReadonlySet<string>;
  readonly foreign: readonly string[];
}

/** How long a commit or a rotation waits for another one. */
const lockWaitSeconds = 300;

/** A storage folder: a folder with a policy, see section "Storage folder" of the README. */
export class StorageFolder {
  private constructor(
    readonly path: string,
    /** What the folder is known by, wherever its path may lead. */
    readonly identity: FileIdentity,
    readonly policy: Policy,
  ) {}

  /**
   * Open a folder that has a policy. Changes nothing.
   *
   * @throws {PlasmaError} if there is no such folder, or it has no policy, or what belongs to plasma
   * in it is something else
   * @throws {ConfigError} if its policy is wrong
   */
  static async open(path: string): Promise<StorageFolder> {
    const real = await realFolder(path);
    const identity = fs.lstatSync(real, { bigint: true });
    requireOwnFolders(real);
    return new StorageFolder(real, identity, readPolicy(real, path));
  }

  /** Uploads under way; made on first use. */
  get incoming(): string {
    return `${this.#own()}/incoming`;
  }

  /** Archives that are being deleted; made on first use. */
  get trash(): string {
    return `${this.#own()}/trash`;
  }

  get journal(): string {
    return `${this.#own()}/journal.jsonl`;
  }

  #own(): string {
    return `${this.path}/.plasma`;
  }

  /** Make the folders that plasma keeps beside the archives. */
  prepare(): void {
    try {
      makePrivateFolder(this.#own());
      makePrivateFolder(this.incoming);
    } catch (error) {
      throw new PlasmaError("storage", `cannot write to ${this.path}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  /** Keep others from committing and rotating here. */
  async lock(): Promise<Lock> {
    this.prepare();
    const lock = await Lock.take(`${this.#own()}/lock`, { waitSeconds: lockWaitSeconds });
    if (lock !== undefined) return lock;
    throw new PlasmaError("storage", `another process has kept ${this.path} locked for too long`);
  }

  /** Look at what the folder holds. Types of entries are those of lstat(2): links are foreign. */
  contents(): FolderContents {
    const archives: ArchiveName[] = [];
    const sidecars = new Set<string>();
    const foreign: string[] = [];
    for (const { name, isFile, isDirectory } of Deno.readDirSync(this.path)) {
      if (name === policyFileName || name === ".plasma") continue;
      if (isProbe(name) || isSystemName(name)) continue;
      const archive = isFile || isDirectory ? parseArchiveName(name) : undefined;
      const isWhole = archive?.kind === "btrfs"
        ? isDirectory && readSummary(`${this.path}/${name}`) !== undefined
        : isFile;
      if (archive !== undefined && isWhole) archives.push(archive);
      else if (isFile && isSidecar(name)) sidecars.add(name.slice(0, -sidecarSuffix.length));
      else foreign.push(name);
    }
    return { archives, sidecars, foreign: foreign.sort() };
  }
}

/** A name for what is made in a storage folder only to see whether that is possible. */
export const probeName = () => `.plasma-probe-${randomBytes(8).toString("hex")}`;

/** Whether something is called so: it is there for a moment, or was left by a process that was killed. */
export const isProbe = (name: string) => /^\.plasma-probe-[0-9a-f]{16}$/.test(name);

function isSidecar(name: string): boolean {
  return name.endsWith(sidecarSuffix) &&
    parseArchiveName(name.slice(0, -sidecarSuffix.length)) !== undefined;
}

async function realFolder(path: string): Promise<string> {
  try {
    const real = await Deno.realPath(path);
    if (!(await Deno.stat(real)).isDirectory) {
      throw new PlasmaError("storage", `${path} is not a folder`, { code: "no-folder" });
    }
    return real;
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    const what = isNotFound(error)
      ? `the storage folder ${path} does not exist (is its disk mounted?)`
      : `cannot open the storage folder ${path}: ${reasonOf(error)}`;
    throw new PlasmaError("storage", what, {
      code: "no-folder",
      remedy: `for a new one run on the storage host: plasma init ${path}`,
    });
  }
}

/**
 * What plasma keeps beside the archives lies in folders, or is not there. A link in their place would
 * have it write and delete elsewhere.
 */
function requireOwnFolders(path: string): void {
  for (const name of [".plasma", ".plasma/incoming", ".plasma/trash"]) {
    const own = `${path}/${name}`;
    let isDirectory;
    try {
      isDirectory = Deno.lstatSync(own).isDirectory;
    } catch (error) {
      // What we may not look at we cannot be led astray by.
      if (isNotFound(error) || errorCode(error) === "EACCES") continue;
      throw new PlasmaError("storage", `cannot read ${own}: ${reasonOf(error)}`, { cause: error });
    }
    if (!isDirectory) {
      throw new PlasmaError("storage", `${own} is not a folder but something in its place`, {
        remedy: "look who has put it there, and remove it",
      });
    }
  }
}
