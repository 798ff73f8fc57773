import fs from "node:fs";
import { btrfs, identityOf, readSubvolumeIds, subvolumeInode } from "../btrfs/subvolumes.ts";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { makePrivateFolder, openPrivate, removeIfPresent } from "../system/durable.ts";
import { lockOpenFile } from "../system/lock.ts";
import { Consumer, strictStage } from "../system/pipeline.ts";
import { run } from "../system/process.ts";
import type { Transfer } from "../system/pump.ts";
import type { RunId } from "../system/run_id.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import type { StorageFolder } from "./folder.ts";
import { incomingFiles, lockWaitSeconds, removeDeadUploads } from "./incoming.ts";
import { emptySha256, type SubvolumeRecord } from "./manifest.ts";
import type { ReceiveOrder, Upload } from "./mod.ts";

/**
 * Make sure that subvolumes can be received in a folder.
 *
 * @throws {PlasmaError} if it is not on btrfs
 */
export async function requireBtrfsStorage(folder: StorageFolder): Promise<void> {
  const args = ["inspect-internal", "rootid", folder.path];
  const { exit, messages } = await run({ program: "btrfs", args });
  if (exit.code === 0) return;
  const what = /not a btrfs/i.test(messages.tail) ? "is not on btrfs" : `: ${messages.tail}`;
  throw new PlasmaError("storage", `the storage folder ${folder.path} ${what}`, {
    code: "not-btrfs",
    remedy: 'store it on btrfs, or use the strategy "btrfs-snapshot"',
  });
}

/** A subvolume that is being received, in `.plasma/incoming/<run id>.btrfs/`. */
export class IncomingSubvolume implements Upload {
  readonly durable = false;

  private constructor(
    readonly folder: string,
    readonly received: string,
    readonly order: ReceiveOrder,
    readonly lock: number,
    readonly pipes: PipeFolder,
    readonly consumer: Consumer,
    readonly before: ReadonlySet<string>,
  ) {}

  static async begin(
    storage: StorageFolder,
    id: RunId,
    order: ReceiveOrder,
  ): Promise<IncomingSubvolume> {
    const { folder, lock } = await openIncoming(storage, id);
    const { received } = incomingFiles(storage, id);
    const pipes = await PipeFolder.make();
    try {
      const decoders = await openDecoders(order.stream, undefined);
      const command = { program: "btrfs", args: ["--quiet", "receive", "-e", "--", folder] };
      const stages = [...decoders, strictStage(command, "receive")];
      const consumer = await Consumer.start(stages, pipes.path, "ignore");
      const before = namesIn(folder);
      return new IncomingSubvolume(folder, received, order, lock, pipes, consumer, before);
    } catch (error) {
      fs.closeSync(lock);
      await pipes[Symbol.asyncDispose]();
      throw error;
    }
  }

  get sink(): string {
    return this.consumer.path;
  }

  onOpen(): void {
    this.consumer.onOpen();
  }

  kill(): void {
    this.consumer.kill();
  }

  /**
   * All of the stream has been written: believe in the subvolume only if it is read-only, is the one
   * that was announced, and was made of the parent that was announced.
   */
  async complete({ bytes, sha256 }: Transfer): Promise<void> {
    try {
      await this.consumer.finish();
      const { name, path, identity } = this.order;
      const arrived = this.#newSubvolume();
      await requireIdentity(`${this.folder}/${arrived}`, this.order);
      fs.renameSync(`${this.folder}/${arrived}`, `${this.folder}/${name}`);
      record(this.received, { name, path, identity, bytes, sha256 });
    } catch (error) {
      await this.#removeNew();
      throw receiveError(error);
    }
  }

  /** The name of the one subvolume that has come; a stream could bring several, or other things. */
  #newSubvolume(): string {
    const names = [...namesIn(this.folder)].filter((name) => !this.before.has(name));
    const [name] = names;
    const isSubvolume = name !== undefined &&
      Deno.lstatSync(`${this.folder}/${name}`).ino === subvolumeInode;
    if (names.length === 1 && isSubvolume) return name;
    throw new PlasmaError("receive", `the stream brought ${names.length} entries, not a subvolume`);
  }

  async #removeNew(): Promise<void> {
    for (const name of namesIn(this.folder)) {
      if (!this.before.has(name)) await removeEntry(`${this.folder}/${name}`).catch(() => {});
    }
  }

  async explain(): Promise<Error | undefined> {
    try {
      await this.consumer.finish();
      return undefined;
    } catch (error) {
      await this.#removeNew();
      return receiveError(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consumer[Symbol.asyncDispose]();
    await this.pipes[Symbol.asyncDispose]();
    fs.closeSync(this.lock);
  }
}

/** Put a subvolume that is stored already into an upload: the same snapshot, not sent again. */
export async function copyStored(
  storage: StorageFolder,
  id: RunId,
  { name, path, identity }: ReceiveOrder,
  stored: string,
): Promise<void> {
  const { folder, lock } = await openIncoming(storage, id);
  try {
    const target = `${folder}/${name}`;
    await btrfs(`copy ${stored}`, "subvolume", "snapshot", "-r", "--", stored, target);
    await requireIdentity(target, { identity, parent: undefined });
    const { received } = incomingFiles(storage, id);
    record(received, { name, path, identity, bytes: 0, sha256: emptySha256 });
  } finally {
    fs.closeSync(lock);
  }
}

/** The folder of an upload, which is locked by its `.part` file as others are. */
async function openIncoming(
  storage: StorageFolder,
  id: RunId,
): Promise<{ folder: string; lock: number }> {
  storage.prepare();
  await requireBtrfsStorage(storage);
  await removeDeadUploads(storage, id);
  const { part, subvolumes } = incomingFiles(storage, id);
  try {
    const lock = openPrivate(part);
    if (!await lockOpenFile(lock, lockWaitSeconds)) {
      fs.closeSync(lock);
      throw new PlasmaError("storage", "another process receives for this run");
    }
    makePrivateFolder(subvolumes);
    return { folder: subvolumes, lock };
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("storage", `cannot write to ${storage.path}: ${reasonOf(error)}`, {
      code: errorCode(error) ?? "failed",
    });
  }
}

async function requireIdentity(
  path: string,
  { identity, parent }: Pick<ReceiveOrder, "identity" | "parent">,
): Promise<void> {
  const ids = await readSubvolumeIds(path);
  const bad = (what: string) => new PlasmaError("receive", `what was received ${what}`);
  if (!ids.readOnly) throw bad("is not read-only: the stream was not complete");
  if (identityOf(ids) !== identity || ids.receivedUuid === undefined) {
    throw bad("is not the subvolume that was announced");
  }
  if (parent !== undefined && ids.parentUuid === undefined) {
    throw bad("was not made of the parent that was announced");
  }
}

/** Note that a subvolume has come; a line for each. */
function record(received: string, subvolume: SubvolumeRecord): void {
  const file = openPrivate(received);
  try {
    const line = new TextEncoder().encode(JSON.stringify(subvolume) + "\n");
    fs.writeSync(file, line, 0, line.length, fs.fstatSync(file).size);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

/** What has been received for an upload; undefined if there is no such upload. */
export function readRecords(storage: StorageFolder, id: RunId): SubvolumeRecord[] | undefined {
  try {
    const lines = Deno.readTextFileSync(incomingFiles(storage, id).received).trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as SubvolumeRecord);
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): Set<string> {
  return new Set([...Deno.readDirSync(folder)].map(({ name }) => name));
}

/** The other side may try again without a parent: this one was lost or has been changed. */
function receiveError(error: unknown): PlasmaError {
  const message = error instanceof Error ? error.message : String(error);
  return new PlasmaError("receive", message, { code: "receive", cause: error });
}

/** Remove a folder that plasma has made, with the subvolumes and files in it. */
export async function removeSubvolumeFolder(folder: string): Promise<void> {
  let names;
  try {
    names = namesIn(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  for (const name of names) await removeEntry(`${folder}/${name}`);
  Deno.removeSync(folder);
}

async function removeEntry(path: string): Promise<void> {
  const { isDirectory, ino } = Deno.lstatSync(path);
  if (isDirectory && ino === subvolumeInode) {
    await btrfs(`delete ${path}`, "subvolume", "delete", "--", path);
  } else if (isDirectory) Deno.removeSync(path);
  else removeIfPresent(path);
}
