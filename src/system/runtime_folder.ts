import fs from "node:fs";
import { PlasmaError, reasonOf } from "../errors.ts";
import { makePrivateFolder } from "./durable.ts";
import { machineIdentity } from "./identity.ts";
import { isLocked, Lock } from "./lock.ts";
import { PendingUploads } from "./pending_uploads.ts";
import { privatePlace } from "./private_place.ts";
import { removeTree } from "./remove_tree.ts";
import { newRunId, type RunId, type RunOwner, runOwner } from "./run_id.ts";

/** A run that ends, or that looks whether we live, holds the lock for a moment. */
const lockWaitSeconds = 1;

/**
 * What a run keeps outside of its source and its storage: the lock of its destination, and a
 * folder for pipes and sockets, both below a folder that only this user can enter.
 */
export class RunPlace implements AsyncDisposable {
  readonly id: RunId;
  /** A folder, mode 0700, that goes with the run. */
  readonly folder: string;
  /** The uploads of this run and of those before it that have not come to their end. */
  readonly uploads: PendingUploads;
  readonly #lock: Lock;

  private constructor(id: RunId, folder: string, lock: Lock, uploads: PendingUploads) {
    this.id = id;
    this.folder = folder;
    this.uploads = uploads;
    this.#lock = lock;
  }

  /**
   * Take the lock of a destination and remove what dead runs have left here.
   *
   * @returns undefined if another run holds the lock
   */
  static async enter(owner: RunOwner): Promise<RunPlace | undefined> {
    const base = privatePlace();
    const lock = await Lock.take(`${base}/${owner.target}.lock`, {
      waitSeconds: lockWaitSeconds,
      isTemporary: true,
    });
    if (lock === undefined) return undefined;
    try {
      await sweep(base, owner);
      const id = newRunId(owner);
      const folder = `${base}/${id}`;
      makePrivateFolder(folder);
      return new RunPlace(id, folder, lock, new PendingUploads(base, owner));
    } catch (error) {
      lock[Symbol.dispose]();
      throw new PlasmaError("start", `cannot use the folder ${base}: ${reasonOf(error)}`);
    }
  }

  /** Whether a run to a destination is under way. */
  static async isTaken({ target }: RunOwner): Promise<boolean> {
    return await isLocked(`${privatePlace()}/${target}.lock`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    removeTree(this.folder);
    this.#lock[Symbol.dispose]();
    return Promise.resolve();
  }
}

/**
 * True if the run with this id is under way on this machine, as far as we can know: runs of other
 * machines and users are taken for alive. Only for what lies on this machine, whose lock tells: of
 * another one with the same identity, a copy in all respects, we cannot know anything.
 *
 * @param own the owner whose lock we hold ourselves
 */
export async function isAlive(id: RunId, own: RunOwner): Promise<boolean> {
  const owner = runOwner(id);
  const { machine, former } = await machineIdentity();
  if (owner === undefined || ![machine, ...former].includes(owner.machine)) return true;
  if (owner.target === own.target) return false;
  return await isLocked(`${privatePlace()}/${owner.target}.lock`);
}

async function sweep(base: string, own: RunOwner): Promise<void> {
  for (const { name, isDirectory } of [...Deno.readDirSync(base)]) {
    const path = `${base}/${name}`;
    const isDead = name.startsWith(pipeFolderPrefix)
      ? isOld(path) && !await isLocked(`${path}/${pipeFolderLock}`)
      : runOwner(name) !== undefined && !await isAlive(name, own);
    if (!isDirectory || !isDead) continue;
    wakeWriters(path);
    removeTree(path);
  }
}

/** A program that a dead run has left may wait for a reader of its pipe for ever: it goes on, and ends. */
function wakeWriters(folder: string): void {
  try {
    for (const { name } of Deno.readDirSync(folder)) {
      const path = `${folder}/${name}`;
      if (!Deno.lstatSync(path).isFifo) continue;
      fs.closeSync(fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK));
    }
  } catch {
    // Another run removes it at the same time.
  }
}

/** A folder for pipes is locked soon after it is made, and not at once. */
const lockedAfterMs = 60_000;

function isOld(path: string): boolean {
  try {
    return Date.now() - (Deno.lstatSync(path).mtime?.getTime() ?? 0) > lockedAfterMs;
  } catch {
    return false;
  }
}

const pipeFolderPrefix = "pipes-";
const pipeFolderLock = "lock";

/** A private folder for pipes, for commands that need no lock of a destination. */
export class PipeFolder implements AsyncDisposable {
  private constructor(readonly path: string, readonly lock: Lock | undefined) {}

  static async make(): Promise<PipeFolder> {
    const path = await Deno.makeTempDir({ dir: privatePlace(), prefix: pipeFolderPrefix });
    Deno.chmodSync(path, 0o700);
    return new PipeFolder(path, await Lock.take(`${path}/${pipeFolderLock}`));
  }

  [Symbol.asyncDispose](): Promise<void> {
    removeTree(this.path);
    this.lock?.[Symbol.dispose]();
    return Promise.resolve();
  }
}

let mounts: string | undefined;

/** An empty folder, on which a process mounts what only it needs, in a mount namespace of its own. */
export function mountPlace(): string {
  if (mounts === undefined) {
    mounts = `${privatePlace()}/mounts`;
    makePrivateFolder(mounts);
  }
  return mounts;
}
