import { createHash } from "node:crypto";
import { canSendCompressedData, sendStage } from "../btrfs/send.ts";
import { PlasmaError } from "../errors.ts";
import { filteredKind } from "../filters/mod.ts";
import { emptySha256, subvolumeName, type SubvolumeRecord } from "../stores/manifest.ts";
import type { Claim, ReceiveOrder, StoredState } from "../stores/mod.ts";
import type { SentSnapshot, SentSubvolume, SubvolumeSource } from "../strategies/mod.ts";
import { Producer } from "../system/pipeline.ts";
import { newRunId, type RunId, runOwner } from "../system/run_id.ts";
import { moveInto, type StoredBytes, type TransferContext } from "./attempt.ts";
import { commit, findCommitted } from "./commit.ts";
import type { Run } from "./context.ts";
import { retrying } from "./retry.ts";

/**
 * Send subvolumes one after the other and commit them together. Of each only what has changed since
 * the newest snapshot that both sides have is sent, or all of it, if there is none.
 */
export async function sendSubvolumes(
  run: Run,
  source: SubvolumeSource,
  stored: StoredState,
  context: TransferContext,
): Promise<StoredBytes> {
  const { store, config, place } = run;
  const compressedData = stored.compressedData && await canSendCompressedData();
  run.outcome.problems.push(...await source.dropUnknown(new Set(stored.identities)));
  let claim: Claim | undefined;
  let id: RunId = place.id;
  try {
    return await retrying(config, run, "upload", async () => {
      const known = claim === undefined ? undefined : await findCommitted(store, claim);
      if (claim !== undefined && known !== undefined) {
        source.keep();
        return { ...claim, ...known, warnings: [] };
      }
      id = newRunId(runOwner(place.id)!);
      const sender = new Sender(run, id, source, stored, context, compressedData);
      const records = await sender.sendAll(source.subvolumes);
      claim = claimOf(id, records);
      const committed = await commit(run, claim);
      source.keep();
      return { ...claim, ...committed, warnings: [] };
    });
  } catch (error) {
    await store.discard(id);
    throw error;
  }
}

function claimOf(id: RunId, subvolumes: readonly SubvolumeRecord[]): Claim {
  const hash = createHash("sha256");
  for (const { name, sha256 } of subvolumes) hash.update(`${sha256}  ${name}\n`);
  const bytes = subvolumes.reduce((sum, { bytes }) => sum + bytes, 0);
  return { id, kind: "btrfs", bytes, sha256: hash.digest("hex"), subvolumes };
}

/** Sends the subvolumes of one attempt. */
class Sender {
  readonly #identities: ReadonlySet<string>;

  constructor(
    readonly run: Run,
    readonly id: RunId,
    readonly source: SubvolumeSource,
    stored: StoredState,
    readonly context: TransferContext,
    readonly compressedData: boolean,
  ) {
    this.#identities = new Set(stored.identities);
  }

  async sendAll(subvolumes: readonly SentSubvolume[]): Promise<SubvolumeRecord[]> {
    const common = subvolumes.flatMap((subvolume) => this.#parentOf(subvolume) ?? []);
    const records: SubvolumeRecord[] = [];
    for (const [index, subvolume] of subvolumes.entries()) {
      this.context.signal.throwIfAborted();
      const name = subvolumeName(subvolume.path, index);
      records.push(await this.#send(subvolume, name, common));
    }
    return records;
  }

  /** The newest snapshot of a subvolume that both sides have. */
  #parentOf({ parents }: SentSubvolume): SentSnapshot | undefined {
    return parents.find(({ identity }) => this.#identities.has(identity));
  }

  async #send(
    subvolume: SentSubvolume,
    name: string,
    common: readonly SentSnapshot[],
  ): Promise<SubvolumeRecord> {
    const { path, snapshot } = subvolume;
    const { log, store, filters } = this.run;
    const order: ReceiveOrder = {
      name,
      path,
      identity: snapshot.identity,
      parent: undefined,
      stream: filteredKind("tar", filters),
    };
    if (this.#identities.has(snapshot.identity)) {
      await store.copyStored(this.id, order);
      log.detail(`${path}: stored already`);
      const { identity } = snapshot;
      return { name, path, identity, bytes: 0, sha256: emptySha256 };
    }
    const parent = this.#parentOf(subvolume);
    if (parent !== undefined) {
      try {
        const clones = common.filter((other) => other !== parent);
        return await this.#transfer(
          snapshot,
          { ...order, parent: parent.identity },
          parent,
          clones,
        );
      } catch (error) {
        if (!(error instanceof PlasmaError) || !refusals.includes(error.code)) throw error;
        log.warning(`${path}: no increment possible: ${error.message}`);
      }
    }
    log.info(`${path}: sending all of it${parent === undefined ? ": no common snapshot" : ""}`);
    return await this.#transfer(snapshot, order, undefined, []);
  }

  async #transfer(
    { path: snapshot, identity }: SentSnapshot,
    order: ReceiveOrder,
    parent: SentSnapshot | undefined,
    clones: readonly SentSnapshot[],
  ): Promise<SubvolumeRecord> {
    const { filters, place, store } = this.run;
    const { name, path } = order;
    const send = sendStage({
      snapshot,
      parent: parent?.path,
      cloneSources: clones.map((clone) => clone.path),
      compressedData: this.compressedData,
    });
    const within = { ...send, command: this.source.within(send.command) };
    await using bytes = await Producer.start(
      [within, ...filters.map(({ encoder }) => encoder)],
      place.folder,
    );
    const moved = await moveInto(bytes, await store.receive(this.id, order), this.context);
    return { name, path, identity, bytes: moved.bytes, sha256: moved.sha256 };
  }
}

/** Errors after which all of a subvolume is sent: the other side refused, or btrfs send itself. */
const refusals: readonly string[] = ["receive", "source"];
