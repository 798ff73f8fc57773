import fs from "node:fs";
import { PlasmaError, reasonOf } from "../errors.ts";
import { makePrivateFolder } from "../system/durable.ts";
import { Consumer, type Programs } from "../system/pipeline.ts";
import type { RunId } from "../system/run_id.ts";
import { withoutMiddle } from "../system/printable.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import { arrivedSubvolumes } from "./arrivals.ts";
import { copyStored } from "./copy_stored.ts";
import { DiskSync } from "./disk_sync.ts";
import type { StorageFolder } from "./folder.ts";
import { cannotWrite, openIncoming, type Places, placesOf, removeTorn } from "./incoming_places.ts";
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
import { appendRecords, readLines } from "./records.ts";
import { removeEntries, removeSubvolumeFolder } from "./remove_subvolumes.ts";
import { findStoredSubvolumes } from "./stored_subvolumes.ts";
import type { UploadLimits } from "./upload_limits.ts";
import type { UploadLock } from "./upload_lock.ts";
import { WriteBehind } from "./write_behind.ts";

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
  readonly #early: WriteBehind;
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
    readonly disk: DiskSync,
    /** Undefined if no stream is to come. */
    readonly programs: Programs | Consumer | undefined,
    limits: UploadLimits,
  ) {
    this.#expected = [...wanted.earlier, ...wanted.orders];
    this.#early = new WriteBehind(places.arriving);
    const all = programs instanceof Consumer ? programs.programs : programs;
    const pid = all?.children.at(-1)?.process.pid;
    if (pid === undefined) return;
    this.#watch = new ReceiveWatch(pid, limits, {
      isTooMuch: () => this.#isTooMuch(),
      onRead: (bytes) => this.#early.update(bytes),
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
    let pipes, disk;
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
      disk = await DiskSync.open(places.arriving);
      pipes = await PipeFolder.make();
      await copyStored(stored, orders.filter(({ copy }) => copy), places.arriving);
      const programs = orders.every(({ copy }) => copy)
        ? undefined
        : await startReceiving(storage, batch, places, {
          pipes: pipes.path,
          lock: lock.file,
          input,
          maxBytes: limits.maxBytes,
        });
      return new IncomingSubvolumes(
        storage,
        id,
        { orders, earlier },
        places,
        lock,
        pipes,
        disk,
        programs,
        limits,
      );
    } catch (error) {
      // After a refusal the upload may go on.
      const isRefusal = error instanceof PlasmaError && error.code === "receive";
      if (!isRefusal) await removeTorn(places, lock);
      lock[Symbol.dispose]();
      await disk?.[Symbol.asyncDispose]();
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
    await this.#early.finish();
    if (this.#watch?.broken !== undefined) throw this.#watch.broken;
    const syncing = this.disk.finish();
    syncing.catch(() => {});
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
    // A record is a promise, also after a power cut.
    await syncing;
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
    await this.#early.finish();
    await this.#received?.catch(() => {});
    // What is torn is not worth keeping, not even what came before; else the next upload removes it.
    if (!this.#isOver) await removeTorn(this.places, this.lock);
    await this.disk[Symbol.asyncDispose]();
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

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

/** For what removes uploads, see incoming.ts. */
export { removeSubvolumeFolder };
