import { canSendCompressedData, sendScript } from "../btrfs/send.ts";
import { topFailed } from "../btrfs/tops.ts";
import { PlasmaError, reasonOf } from "../errors.ts";
import { filteredKind } from "../filters/mod.ts";
import { digestOf, subvolumeName, type SubvolumeRecord } from "../stores/manifest.ts";
import {
  type Claim,
  type Received,
  type ReceiveOrder,
  refusalError,
  type StoredState,
} from "../stores/mod.ts";
import type { SentSubvolume, SubvolumeSource } from "../strategies/mod.ts";
import { Producer, type Stage, strictStage } from "../system/pipeline.ts";
import type { Command } from "../system/process.ts";
import type { RunId } from "../system/run_id.ts";
import { canCountWritten, countingScript } from "../system/written.ts";
import { move, type StoredBytes } from "./attempt.ts";
import { commit, discardPending, findCommitted } from "./commit.ts";
import type { Run } from "./context.ts";
import { isTransient, retrying } from "./retry.ts";
import { Refusals } from "./refusals.ts";
import { type CountingStage, maySendDirectly, sendDirectly } from "./send_directly.ts";
import { firstBatch, type PlannedSend, planSends } from "./send_plan.ts";
import { onAbort, type TransferContext } from "./transfer_watch.ts";

/**
 * Send subvolumes one after the other, through one connection, and commit them together. Of each only
 * what has changed since a snapshot that both sides have is sent, or all of it, if there is none.
 */
export async function sendSubvolumes(
  run: Run,
  source: SubvolumeSource,
  stored: StoredState,
  context: TransferContext,
): Promise<StoredBytes> {
  const { config, place } = run;
  const [canCompress, canCount, problems] = await Promise.all([
    canSendCompressedData(),
    canCountWritten(),
    source.dropUnknown(new Set(stored.identities)),
  ]);
  const means: Means = {
    compressedData: stored.compressedData && canCompress,
    isDirect: canCount && maySendDirectly(run),
  };
  run.outcome.problems.push(...problems);
  let claim: Claim | undefined;
  return await retrying(config, run, "upload", async () => {
    const known = claim === undefined ? undefined : await findCommitted(run, claim);
    if (claim !== undefined && known !== undefined) {
      source.keep();
      return { ...claim, ...known, warnings: [] };
    }
    await discardPending(run);
    const id = place.uploads.begin();
    const sender = new Sender(run, source, id, stored, context, means);
    claim = await sender.sendAll();
    const committed = await commit(run, claim);
    source.keep();
    return { ...claim, ...committed, warnings: [] };
  });
}

/** How subvolumes are sent. */
interface Means {
  /** See SendOrder. */
  readonly compressedData: boolean;
  /** `btrfs send` writes to the store itself: that saves each byte two copies. */
  readonly isDirect: boolean;
}

const isRefusal = (error: unknown) => error instanceof PlasmaError && error.code === "receive";

/**
 * What `btrfs receive` says of a subvolume that has something which cannot be where it is to be stored,
 * though `btrfs send` could send it: paths that are too long there, attributes or links too many.
 */
const tooMuch =
  /path invalid|name too long|argument list too long|numerical result out of range|too many links/i;

/** There is no other way to send it. */
const isLast = ({ parent, copy }: PlannedSend) => parent === undefined && !copy;

/** The code of errors that are not those of one subvolume. */
const ofAll = "snapshots";
const isOfAll = (error: unknown) => error instanceof PlasmaError && error.code === ofAll;

/** Bugs and programs that do not start say nothing of a subvolume. */
const isOfStream = (error: unknown) => error instanceof PlasmaError && error.stage !== "start";

function sendingStage(command: Command): Stage {
  const { judge, ...stage } = strictStage(command, "send");
  return {
    ...stage,
    judge(exit, messages) {
      if (exit.code !== topFailed) return judge(exit, messages);
      throw new PlasmaError("send", messages.slice(-3).join(" / "), { code: ofAll });
    },
  };
}

interface Sent extends Received {
  /** It was refused by `btrfs send` itself, and not by the store. */
  readonly isSendsOwn?: boolean;
}

/** Sends the subvolumes of one attempt. */
class Sender {
  readonly #waiting: Set<SentSubvolume>;
  readonly #names: ReadonlyMap<SentSubvolume, string>;
  readonly #records: SubvolumeRecord[] = [];
  readonly #sent: SentSubvolume[] = [];
  readonly #refusals = new Refusals();
  readonly #stored: ReadonlySet<string>;
  #bytes = 0;
  /** Of all attempts: their folder is the same. */
  static #scripts = 0;

  constructor(
    readonly run: Run,
    readonly source: SubvolumeSource,
    readonly id: RunId,
    stored: StoredState,
    readonly context: TransferContext,
    readonly means: Means,
  ) {
    const { subvolumes } = source;
    this.#stored = new Set(stored.identities);
    this.#waiting = new Set(subvolumes);
    this.#names = new Map(subvolumes.map((one, index) => [one, subvolumeName(one.path, index)]));
  }

  async sendAll(): Promise<Claim> {
    while (this.#waiting.size > 0) {
      this.context.signal.throwIfAborted();
      const plan = firstBatch(this.#plan());
      const received = await this.#send(plan);
      if (received === undefined) continue;
      const { refusal, isCut = false, isSendsOwn = false } = received;
      const missing = new Set(received.missing);
      for (const [index, one] of plan.entries()) if (!missing.has(index)) this.#noteSent(one);
      const left = plan.filter((_, index) => missing.has(index));
      if (left.length === 0 && refusal === undefined) continue;
      const isItsOwn = isSendsOwn || tooMuch.test(refusal ?? "");
      if (isItsOwn && left[0] !== undefined && isLast(left[0])) {
        this.#leaveOut(left[0], refusal);
      } else this.#noteRefusal(left, isCut, refusal);
    }
    if (this.#records.length === 0) throw new PlasmaError("send", this.#leftOut.join("; "));
    const { id } = this;
    return { id, kind: "btrfs", bytes: this.#bytes, sha256: digestOf(this.#records) };
  }

  #plan(): readonly PlannedSend[] {
    const { parents: refused, whole } = this.#refusals;
    return planSends([...this.#waiting], {
      stored: this.#stored,
      sent: this.#sent,
      refused,
      whole,
    });
  }

  #noteSent(one: PlannedSend): void {
    const { subvolume } = one;
    this.#refusals.noteAccepted(one);
    this.#waiting.delete(subvolume);
    this.#sent.push(subvolume);
    this.#records.push(this.#recordOf(subvolume));
  }

  /** @throws {PlasmaError} if there is no other way to send one of them */
  #noteRefusal(
    left: readonly PlannedSend[],
    isCut: boolean,
    refusal = "the streams were cut short",
  ): void {
    const refused = isCut ? left.slice(0, 1) : left;
    const last = refused.find(isLast);
    if (last !== undefined) throw refusalError(`${last.subvolume.path}: ${refusal}`);
    if (refused[0] === undefined) throw refusalError(refusal);
    const { path } = refused[0].subvolume;
    const more = refused.length > 1 ? ` and ${refused.length - 1} more` : "";
    this.run.log.warning(`${path}${more}: no increment possible: ${refusal}`);
    this.#refusals.noteRefused(refused, left.slice(refused.length));
  }

  readonly #leftOut: string[] = [];

  /**
   * What btrfs cannot send or receive, such as paths of 4096 bytes, costs nobody else the backup.
   *
   * @throws {PlasmaError} if a configured folder lies in it
   */
  #leaveOut({ subvolume }: PlannedSend, reason = "it failed"): void {
    const words = `${subvolume.path}: ${reason}`;
    if (subvolume.isNeeded) throw new PlasmaError("send", words, { code: "source" });
    this.#waiting.delete(subvolume);
    this.#leftOut.push(words);
    const problem = `send: ${subvolume.path} is left out: ${reason}`;
    const { problems } = this.run.outcome;
    if (!problems.includes(problem)) problems.push(problem);
  }

  #recordOf(subvolume: SentSubvolume): SubvolumeRecord {
    const { path, snapshot: { identity } } = subvolume;
    return { name: this.#names.get(subvolume)!, path, identity };
  }

  /** Undefined if what the store was to copy is not there any more: then that is sent. */
  async #send(plan: readonly PlannedSend[]): Promise<Sent | undefined> {
    const { filters, store, log } = this.run;
    for (const { subvolume: { path }, copy, parent } of plan) {
      if (copy) log.detail(`${path}: stored already`);
      else if (parent === undefined) this.#tellFull(path);
    }
    const orders = plan.map(({ subvolume, copy, parent }): ReceiveOrder => ({
      ...this.#recordOf(subvolume),
      parent: parent?.identity,
      copy,
    }));
    const stream = filteredKind("tar", filters);
    const stage = plan.every(({ copy }) => copy) ? undefined : this.#stage(plan);
    // While the store makes itself ready, what is to be sent is mounted, and the pipe filled. If all is
    // to be copied nothing is sent, not even the empty stream of a compressor.
    await using bytes = stage === undefined || this.means.isDirect
      ? undefined
      : await this.#produce(stage);
    await using reception = await store.receive(this.id, { stream, orders }).catch((error) => {
      const copies = orders.filter(({ copy }) => copy);
      if (!isRefusal(error) || copies.length === 0) throw error;
      for (const { identity } of copies) this.#refusals.noteGone(identity);
      return undefined;
    });
    if (reception === undefined) return undefined;
    const { signal } = this.context;
    signal.throwIfAborted();
    using _ = onAbort(signal, () => reception.kill());
    if (stage === undefined) return await reception.finish();
    let moved = 0;
    const onBytes = (sum: number) => moved = sum;
    try {
      if (bytes === undefined) {
        const { folder } = this.run.place;
        await sendDirectly(stage, reception, folder, this.context, onBytes);
      } else {
        moved = (await move(bytes, reception, this.context, { hashed: false, onBytes })).bytes;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!isOfStream(error) || isTransient(error) || isOfAll(error)) throw error;
      // A stream that was refused, or a snapshot that could not be sent: what came before it counts.
      const { missing } = await reception.finish();
      if (missing.length === 0) throw error;
      const isSendsOwn = error instanceof PlasmaError && error.code === "source";
      return { missing, refusal: reasonOf(error), isCut: true, isSendsOwn };
    } finally {
      this.#bytes += moved;
    }
    return await reception.finish();
  }

  async #produce(stage: Stage): Promise<Producer> {
    const { filters, place } = this.run;
    const stages = [stage, ...filters.map(({ encoder }) => encoder)];
    return await Producer.start(stages, place.folder);
  }

  #stage(plan: readonly PlannedSend[]): CountingStage {
    const path = `${this.run.place.folder}/send-${++Sender.#scripts}`;
    const orders = plan.filter(({ copy }) => !copy).map(({ subvolume, parent, clones }) => ({
      snapshot: subvolume.snapshot.path,
      parent: parent?.path,
      cloneSources: clones.map((clone) => clone.path),
      compressedData: this.means.compressedData,
    }));
    const script = countingScript + sendScript(orders);
    Deno.writeTextFileSync(path, script, { createNew: true, mode: 0o600 });
    const countFile = `${path}.bytes`;
    const command = { program: "sh", args: [path, countFile] };
    return { ...sendingStage(this.source.within(command)), countFile };
  }

  readonly #told = new Set<string>();

  #tellFull(path: string): void {
    if (this.#told.has(path)) return;
    this.#told.add(path);
    const why = this.#refusals.isNone ? ": no common snapshot" : "";
    this.run.log.info(`${path}: sending all of it${why}`);
  }
}
