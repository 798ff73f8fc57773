import { PlasmaError, reasonOf } from "../errors.ts";
import type { Committed, Store, Upload } from "../stores/mod.ts";
import type { Transfer } from "../system/pump.ts";
import { transfer, TransferError } from "../system/pump_worker.ts";
import type { RunId } from "../system/run_id.ts";
import type { FileIdentity } from "../system/same_file.ts";
import type { ByteSource } from "./byte_source.ts";
import { onAbort, type TransferContext, TransferWatch } from "./transfer_watch.ts";

/** All bytes that were moved, and what the producers had to say. */
export interface Moved extends Transfer {
  readonly warnings: readonly string[];
}

/** An archive that is stored. */
export type StoredBytes = Committed & Moved;

/** Where bytes are to go; of an Upload what a transfer needs. */
export interface Sink {
  readonly sink: string;
  /** No other file than this one may be written at the path. */
  readonly sinkFile?: FileIdentity;
  readonly durable: boolean;
  onOpen(): void;
  /** Why it stopped taking bytes, if it did. */
  explain(): Promise<Error | undefined>;
  /** Stop taking bytes at once. */
  kill(): void;
}

/**
 * Move all bytes of a source into a sink, and make sure that they were all.
 *
 * @throws {PlasmaError} the root cause: the producer that failed, or the sink's own words
 */
export async function move(
  source: ByteSource,
  sink: Sink,
  context: TransferContext,
  { hashed = true, onBytes }: { hashed?: boolean; onBytes?: (bytes: number) => void } = {},
): Promise<Moved> {
  const { signal, limit } = context;
  signal.throwIfAborted();
  const kill = () => {
    source.kill();
    sink.kill();
  };
  using watch = new TransferWatch(context, kill, onBytes);
  try {
    const moved = await transfer(
      {
        source: source.path,
        sourceFile: source.file,
        sink: sink.sink,
        sinkFile: sink.sinkFile,
        durable: sink.durable,
        limit,
        hashed,
      },
      {
        onOpen() {
          source.onOpen();
          sink.onOpen();
        },
        onProgress: (bytes) => watch.update(bytes),
      },
      signal,
    );
    watch.throwIfEnded();
    return { ...moved, warnings: await source.finish(moved) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof TransferError)) throw error;
    source.kill();
    if (error.side === "read") throw new PlasmaError("archive", `cannot read: ${error.message}`);
    throw await sink.explain() ??
      new PlasmaError("storage", `cannot write ${sink.sink}: ${reasonOf(error)}`, {
        code: error.code ?? "failed",
      });
  }
}

/** An archive whose bytes the store has safely; it is not committed yet. */
export interface Uploaded extends Moved {
  readonly id: RunId;
}

/** Move all bytes of a source into an upload, until the store has them safely. */
export async function moveInto(
  source: ByteSource,
  begun: Upload,
  context: TransferContext,
): Promise<Moved> {
  await using upload = begun;
  const moved = await move(source, upload, context);
  using _ = onAbort(context.signal, () => upload.kill());
  await upload.complete(moved);
  return moved;
}

/** Upload what a source produces, under the given id. */
export async function uploadFrom(
  source: ByteSource,
  store: Store,
  id: RunId,
  context: TransferContext,
): Promise<Uploaded> {
  try {
    return { ...await moveInto(source, await store.upload(id), context), id };
  } catch (error) {
    context.signal.throwIfAborted();
    throw error;
  }
}
