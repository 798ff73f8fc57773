import fs from "node:fs";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { makePrivateFolder } from "../system/durable.ts";
import { Consumer, type Programs } from "../system/pipeline.ts";
import type { RunId } from "../system/run_id.ts";
import { withoutMiddle } from "../system/printable.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import { arrivedSubvolumes } from "./arrivals.ts";
import { copyStored } from "./copy_stored.ts";
import type { StorageFolder } from "./folder.ts";
import { countOthers, incomingFiles, isPresent, removeDeadUploads } from "./incoming.ts";
import { beginWriting } from "./lost_writes.ts";
import { requireRoom, type SubvolumeRecord } from "./manifest.ts";
import {
  type ReceiveBatch,
  type Received,
  type ReceiveOrder,
  type Reception,
  refusalError,
} from "./mod.ts";
import { startReceiving } from "./receive_stages.ts";
import { ReceiveWatch } from "./receive_watch.ts";
import { appendRecords, arrivingFolder, readLines } from "./records.ts";
import { removeEntries, removeSubvolumeFolder } from "./remove_subvolumes.ts";
import { findStoredSubvolumes, requireBtrfsStorage } from "./stored_subvolumes.ts";
import { requirePlace, type UploadLimits } from "./upload_limits.ts";
import { lockWaitSeconds, UploadLock } from "./upload_lock.ts";
import { WriteBehind } from "./write_behind.ts";

/**
 * Where subvolumes are received, `.plasma/incoming/<run id>.btrfs/`: the folder `in` is the archive in
 * the making, and all that a stream can reach. What it has brought beside what was announced is removed
 * at its end; the manifest is made by the commit.
 */
function placesOf(storage: StorageFolder, id: RunId) {
  const { subvolumes, part, received } = incomingFiles(storage, id);
  const arriving = arrivingFolder(subvolumes);
  return { part, received, subvolumes, arriving, empty: `${subvolumes}/root` };
}
type Places = ReturnType<typeof placesOf>;

/** Where the streams come from, and how much of them. */
export interface ReceiveOptions {
  readonly input?: number | undefined;
  readonly limits?: UploadLimits | undefined;
}

/** What is to come, and what came for the same upload before. */
interface Wanted {
  readonly orders: readonly ReceiveOrder[];
  readonly earlier: readonly SubvolumeRecord[];
}

/** What `btrfs receive` says may quote paths of any length. */
const longestRefusal = 4000;

/** If more comes beside what was announced all of it is given up. */
const mostBeside = 16;

/** Subvolumes that are being received. */
export class IncomingSubvolumes implements Reception {
  readonly durable = false;
  readonly #watch: ReceiveWatch | undefined;
  readonly #disk: WriteBehind;
  readonly #expected: readonly (SubvolumeRecord | ReceiveOrder)[];
  #received: Promise<Received> | undefined;
  #isOver = false;

  private constructor(
    readonly storage: StorageFolder,
    readonly id: RunId,
    readonly wanted: Wanted,
    readonly places: Places,
    readonly lock: UploadLock,
    readonly pipes: PipeFolder,
    /** Undefined if no stream is to come. */
    readonly programs: Programs | Consumer | undefined,
    limits: UploadLimits,
  ) {
    this.#expected = [...wanted.earlier, ...wanted.orders];
    this.#disk = new WriteBehind(places.arriving);
    const all = programs instanceof Consumer ? programs.programs : programs;
    const pid = all?.children.at(-1)?.process.pid;
    if (pid === undefined) return;
    this.#watch = new ReceiveWatch(pid, limits, {
      isTooMuch: () => this.#isTooMuch(),
      onRead: (bytes) => this.#disk.update(bytes),
      kill: () => this.kill(),
    });
  }

  /**
   * @param given what is to come, or what reads that, only when there is a place for the upload
   * @param options.input an open descriptor that gives the streams; else they come to the sink
   */
  static async begin(
    storage: StorageFolder,
    id: RunId,
    given: ReceiveBatch | (() => Promise<ReceiveBatch>),
    { input, limits = {} }: ReceiveOptions = {},
  ): Promise<IncomingSubvolumes> {
    const places = placesOf(storage, id);
    const lock = await openIncoming(storage, id, places, limits);
    let pipes;
    try {
      const batch = typeof given === "function" ? await given() : given;
      await removeSubvolumeFolder(places.empty);
      for (const folder of [places.arriving, places.empty]) makePrivateFolder(folder);
      const { orders } = batch;
      const earlier = readLines(places.subvolumes) ?? [];
      requireRoom(earlier, orders);
      const stored = await findStoredSubvolumes(
        storage,
        new Set(orders.map(({ identity }) => identity)),
      );
      refuseSeconds(orders, stored);
      await copyStored(stored, orders.filter(({ copy }) => copy), places.arriving);
      pipes = await PipeFolder.make();
      const programs = orders.every(({ copy }) => copy)
        ? undefined
        : await startReceiving(storage, batch, places, {
          pipes: pipes.path,
          lock: lock.file,
          input,
          maxBytes: limits.maxBytes,
        });
      const wanted = { orders, earlier };
      return new IncomingSubvolumes(storage, id, wanted, places, lock, pipes, programs, limits);
    } catch (error) {
      // After a refusal the upload may go on.
      const isRefusal = error instanceof PlasmaError && error.code === "receive";
      if (!isRefusal) await removeTorn(places, lock);
      lock[Symbol.dispose]();
      await pipes?.[Symbol.asyncDispose]();
      throw cannotWrite(storage, error);
    }
  }

  get sink(): string {
    return this.programs instanceof Consumer ? this.programs.path : "/dev/null";
  }

  onOpen(): void {
    if (this.programs instanceof Consumer) this.programs.onOpen();
  }

  kill(): void {
    this.programs?.kill();
  }

  finish(): Promise<Received> {
    return this.#received ??= this.#finish();
  }

  /** All that comes has come: believe in what is complete and as it was announced. */
  async #finish(): Promise<Received> {
    const problem = await this.#endOfPrograms();
    this.#watch?.[Symbol.dispose]();
    await this.#disk.finish();
    if (this.#watch?.broken !== undefined) throw this.#watch.broken;
    // To look at each would take far longer than to send it.
    if (this.#isTooMuch()) return await this.#giveUp();
    const { orders, earlier } = this.wanted;
    const { arriving, subvolumes } = this.places;
    const arrived = await arrivedSubvolumes(this.storage, this.id, arriving, this.#expected);
    const isInPlace = ({ identity, name }: SubvolumeRecord) => arrived.names.get(identity) === name;
    if (!earlier.every(isInPlace)) return await this.#giveUp();
    const isMissing = ({ identity }: ReceiveOrder) => !arrived.names.has(identity);
    const records = orders.filter((order) => !isMissing(order))
      .map(({ name, path, identity }): SubvolumeRecord => ({ name, path, identity }));
    for (const { name, identity } of records) {
      fs.renameSync(`${arriving}/${arrived.names.get(identity)}`, `${arriving}/${name}`);
    }
    const kept = new Set([...earlier, ...records].map(({ name }) => name));
    const others = () => namesIn(arriving).filter((name) => !kept.has(name));
    const left = others();
    // What cannot be removed by its name goes with all the others.
    await removeEntries(arriving, left).catch(() => {});
    if (others().length > 0) return await this.#giveUp();
    appendRecords(subvolumes, records);
    this.lock.touch();
    this.#isOver = true;
    const missing = [...orders.keys()].filter((index) => isMissing(orders[index]!));
    if (missing.length + left.length === 0 && problem === undefined) return { missing };
    const words = problem ?? arrived.problem ??
      (missing.length > 0
        ? `the streams of only ${records.length} of ${orders.length} subvolumes came`
        : `the streams brought ${left.length} entries that were not announced`);
    return { missing, refusal: withoutMiddle(words, longestRefusal), isCut: problem !== undefined };
  }

  #isTooMuch(): boolean {
    return namesIn(this.places.arriving).length > this.#expected.length + mostBeside;
  }

  /** A stream has moved what came before, or has brought far more, or what cannot even be named. */
  async #giveUp(): Promise<never> {
    await removeSubvolumeFolder(this.places.subvolumes);
    throw refusalError(
      "the streams brought something else than what was announced; all was removed",
    );
  }

  async #endOfPrograms(): Promise<string | undefined> {
    try {
      await this.programs?.finish();
      return undefined;
    } catch (error) {
      if (error instanceof PlasmaError && error.code === "max-size") throw error;
      return reasonOf(error);
    }
  }

  async explain(): Promise<Error | undefined> {
    const { refusal } = await this.finish();
    return refusal === undefined ? undefined : refusalError(refusal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    await this.programs?.[Symbol.asyncDispose]();
    await this.#disk.finish();
    await this.#received?.catch(() => {});
    // What is torn is not worth keeping, not even what came before; else the next upload removes it.
    if (!this.#isOver) await removeTorn(this.places, this.lock);
    await this.pipes[Symbol.asyncDispose]();
    this.lock[Symbol.dispose]();
  }
}

/**
 * Nothing but a copy goes by the identity of what is stored: whoever has the key could else put
 * something of his own in its place, of which later archives would be made.
 */
function refuseSeconds(orders: readonly ReceiveOrder[], stored: ReadonlyMap<string, string>): void {
  const second = orders.find(({ copy, identity }) => !copy && stored.has(identity));
  if (second === undefined) return;
  throw new PlasmaError("storage", `${second.path}: a subvolume of this uuid is stored already`, {
    code: "stored",
    remedy: "nothing was received; if this goes on, somebody else uses the key of this server",
  });
}

/** Lock an upload by its `.part` file as others are, and make its folder. */
async function openIncoming(
  storage: StorageFolder,
  id: RunId,
  { part, received, subvolumes }: Places,
  limits: UploadLimits,
): Promise<UploadLock> {
  storage.prepare();
  await requireBtrfsStorage(storage);
  await removeDeadUploads(storage, id);
  const lock = await UploadLock.take(part, lockWaitSeconds);
  if (lock === undefined) {
    throw new PlasmaError("storage", "another process works on the upload of this run", {
      code: "in-use",
    });
  }
  try {
    if (lock.size > 0 || isPresent(received)) {
      throw new PlasmaError("storage", "this run has an upload of another kind", {
        code: "protocol",
      });
    }
    if (!isPresent(subvolumes)) await requirePlace(() => countOthers(storage, id), limits);
    makePrivateFolder(subvolumes);
    beginWriting(subvolumes);
    return lock;
  } catch (error) {
    if (lock.isNew) lock.remove();
    lock[Symbol.dispose]();
    throw cannotWrite(storage, error);
  }
}

/** What cannot be removed the next upload removes. */
async function removeTorn({ subvolumes }: Places, lock: UploadLock): Promise<void> {
  try {
    await removeSubvolumeFolder(subvolumes);
    lock.remove();
  } catch {
    // As above.
  }
}

function cannotWrite(storage: StorageFolder, error: unknown): PlasmaError {
  if (error instanceof PlasmaError) return error;
  return new PlasmaError("storage", `cannot write to ${storage.path}: ${reasonOf(error)}`, {
    code: errorCode(error) ?? "failed",
    cause: error,
  });
}

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

/** For what removes uploads, see incoming.ts. */
export { removeSubvolumeFolder };
