import { describeError, PlasmaError } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";
import type { Download, Verdict, VerifyOptions } from "../stores/mod.ts";
import { costly, tooCostly } from "../system/limited.ts";
import { NamedPipe } from "../system/named_pipe.ts";
import { Consumer, type Stage } from "../system/pipeline.ts";
import type { PumpResult } from "../system/pump.ts";
import { transfer } from "../system/pump_worker.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import { listStage } from "./extract.ts";
import { readArchive, type ReadResult } from "./read_archive.ts";

/** How long an honest archive may take to read: an hour, and more if it is large. */
function patienceFor(bytes: number): number {
  return 3600 + bytes / (256 << 10);
}

/**
 * Read an archive through, to the last member: decrypt, decompress, and let tar look at each header.
 * Within limits of memory and time: whoever stored it may have made it to do harm. What exceeds them is
 * "unreadable".
 *
 * @param identity the file with the secret key, for an encrypted archive
 * @param options.timeoutSeconds by default an hour, and more if so many bytes are stored
 * @param options.signal when it is aborted what is found has no meaning
 */
export async function checkTar(
  download: Download,
  { name, bytes }: { readonly name: string; readonly bytes: number },
  identity: string | undefined,
  { timeoutSeconds = patienceFor(bytes), signal }: Omit<VerifyOptions, "deep"> = {},
): Promise<Pick<Verdict, "state" | "detail">> {
  const decoders = await openDecoders(parseArchiveName(name)!.kind, identity);
  await using folder = await PipeFolder.make();
  try {
    using limit = new TimeLimit(timeoutSeconds, signal);
    const { read, plain } = await readThrough(download, decoders, folder.path, limit);
    if (read.isAsStored === false) {
      return {
        state: "damaged",
        detail: `its SHA-256 is ${read.sha256}, not ${read.expected} as when stored`,
      };
    }
    // What the strategy noop stores has no bytes at all.
    if (plain.bytes > 0 && !plain.framedLikeTar && !plain.isEmptyTar) {
      return { state: "damaged", detail: "the tar in it is not complete" };
    }
    // The tar may be whole, and yet not what was stored.
    if (read.isAsStored === undefined) {
      return {
        state: "no checksum",
        detail: "read through, but no checksum says how it was stored",
      };
    }
    const isEmpty = plain.bytes === 0 || plain.isEmptyTar;
    const empty = isEmpty ? ": it is empty, there is not one file in it" : "";
    return { state: "ok", detail: `SHA-256 as when stored, and read through${empty}` };
  } catch (error) {
    if (!(error instanceof PlasmaError) || error.code === "connection") throw error;
    const state = error.code === tooCostly ? "unreadable" : "damaged";
    return { state, detail: `cannot be read through: ${describeError(error)}` };
  }
}

/** What came of the archive, and of the tar in it. */
interface ReadThrough {
  readonly read: ReadResult;
  readonly plain: PumpResult;
}

async function readThrough(
  download: Download,
  decoders: readonly Stage[],
  folder: string,
  limit: TimeLimit,
): Promise<ReadThrough> {
  await using tar = await Consumer.start([listStage([])], folder, "ignore");
  limit.add(download);
  limit.add(tar);
  try {
    if (decoders.length > 0) return await decodeInto(tar, download, decoders, folder, limit);
    const read = await readArchive(download, tar, () => {}, limit.signal);
    if (read.bytes > 0) await tar.finish();
    return { read, plain: read };
  } catch (error) {
    limit.throwIfExceeded();
    throw error;
  }
}

/** The same for an archive that is compressed or encrypted. */
async function decodeInto(
  tar: Consumer,
  download: Download,
  decoders: readonly Stage[],
  folder: string,
  limit: TimeLimit,
): Promise<ReadThrough> {
  const [pipe] = await NamedPipe.make(folder, ["plain"]);
  using middle = pipe!;
  using end = middle.open("w");
  await using decoding = await Consumer.start(decoders, folder, end.file);
  end[Symbol.dispose]();
  limit.add(decoding);
  const [read, plain] = await Promise.all([
    readArchive(download, decoding, () => {}, limit.signal),
    transfer({ source: middle.path, sink: tar.path, drain: true }, {
      onOpen() {
        middle.release();
        tar.onOpen();
      },
      onProgress() {},
    }, limit.signal),
  ]);
  // Damage to the archive explains whatever the programs complain of.
  if (read.isAsStored === false) return { read, plain };
  await decoding.finish();
  if (plain.bytes > 0) await tar.finish();
  return { read, plain };
}

/** Ends what takes too long, or is not wanted any more. */
class TimeLimit implements Disposable {
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #ending = new AbortController();
  #isExceeded = false;
  /** What is to end when either is so. */
  readonly signal: AbortSignal;

  constructor(readonly seconds: number, unwanted: AbortSignal | undefined) {
    this.signal = unwanted === undefined
      ? this.#ending.signal
      : AbortSignal.any([this.#ending.signal, unwanted]);
    this.#timer = setTimeout(() => {
      this.#isExceeded = true;
      this.#ending.abort();
    }, Math.min(seconds * 1000, longestTimer));
  }

  add(program: { kill(): void }): void {
    if (this.signal.aborted) program.kill();
    this.signal.addEventListener("abort", () => program.kill());
  }

  throwIfExceeded(): void {
    if (!this.#isExceeded) return;
    throw costly(`to read it takes more than the ${Math.round(this.seconds)} s that are allowed`);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** setTimeout() takes no more milliseconds. */
const longestTimer = 2 ** 31 - 1;
