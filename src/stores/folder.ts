import { loadConfig } from "../config/load.ts";
import { policyFileName, policySchema } from "../config/policy.ts";
import { isNotFound, PlasmaError, reasonOf } from "../errors.ts";
import { type ArchiveName, parseArchiveName, sidecarSuffix } from "../rotation/archive_name.ts";
import type { Policy } from "../rotation/policy.ts";
import { makePrivateFolder } from "../system/durable.ts";
import { Lock } from "../system/lock.ts";
import { readManifest } from "./manifest.ts";

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
  private constructor(readonly path: string, readonly policy: Policy) {}

  /**
   * Open a folder that has a policy. Changes nothing.
   *
   * @throws {PlasmaError} if there is no such folder, or it has no policy
   * @throws {ConfigError} if its policy is wrong
   */
  static async open(path: string): Promise<StorageFolder> {
    const real = await realFolder(path);
    const policyFile = `${real}/${policyFileName}`;
    if (!exists(policyFile)) {
      throw new PlasmaError(
        "storage",
        `${path} is no storage folder: it has no ${policyFileName} (is its disk mounted?)`,
        { code: "no-policy", remedy: `for a new one run: plasma init ${path}` },
      );
    }
    return new StorageFolder(real, await loadConfig(policyFile, policySchema));
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
      const archive = isFile || isDirectory ? parseArchiveName(name) : undefined;
      const isWhole = archive?.kind === "btrfs"
        ? isDirectory && readManifest(`${this.path}/${name}`) !== undefined
        : isFile;
      if (archive !== undefined && isWhole) archives.push(archive);
      else if (isFile && isSidecar(name)) sidecars.add(name.slice(0, -sidecarSuffix.length));
      else foreign.push(name);
    }
    return { archives, sidecars, foreign: foreign.sort() };
  }
}

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

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw new PlasmaError("storage", `cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}
