import fs from "node:fs";
import { errorCode } from "../errors.ts";
import { type FileIdentity, openSame } from "./same_file.ts";
import { pump, PumpError, type PumpResult, readLine } from "./pump.ts";

/** The pump in a thread of its own, so that signals and dying children are seen at once. */

/** What is to be moved from where to where. */
export interface TransferRequest {
  /** A file or a pipe; 0 is our standard input, which all threads share. */
  readonly source: string | 0;
  /** Bytes that came before those of the source. */
  readonly prefix?: Uint8Array;
  /** The transfer fails if another file than this one is there; descriptors are not shared. */
  readonly sourceFile?: FileIdentity | undefined;
  /** Without one the bytes are only counted and hashed. */
  readonly sink?: string;
  /** Likewise, and the file is not emptied. */
  readonly sinkFile?: FileIdentity | undefined;
  readonly durable?: boolean;
  readonly limit?: number | undefined;
  readonly drain?: boolean;
  /** See PumpOptions. */
  readonly hashed?: boolean;
  /** The transfer fails with the code "too-large" as soon as there are more bytes. */
  readonly maximum?: number | undefined;
  /** The transfer fails with the code "idle" when the source gives nothing for so long. */
  readonly idleSeconds?: number | undefined;
  /** Before the bytes comes a line of at most so many bytes, which is no part of them. */
  readonly headerLimit?: number | undefined;
  /** If that line does not begin so, nothing is moved. */
  readonly headerStart?: string | undefined;
}

/** What was moved, and the line before it. */
export interface TransferResult extends PumpResult {
  /** Undefined if none was asked for. */
  readonly header: string | undefined;
}

/** A failed transfer: which side failed, and the system's name of the error. */
export class TransferError extends Error {
  override readonly name = "TransferError";

  constructor(readonly side: "read" | "write", readonly code: string | undefined, message: string) {
    super(message);
  }
}

export interface TransferHooks {
  /** Both ends are open: pipes can be released. */
  onOpen(): void;
  /** Told the sum of bytes, about ten times a second. */
  onProgress(bytes: number): void;
}

type Report =
  | { readonly kind: "open" }
  | { readonly kind: "done"; readonly result: TransferResult }
  | {
    readonly kind: "failed";
    readonly side: "read" | "write";
    readonly code: string | undefined;
    readonly message: string;
  };

interface Order extends TransferRequest {
  readonly counter: SharedArrayBuffer;
}

const workerName = "plasma-pump";
const progressMs = 100;
/** Bytes moved, whether to stop, and how often the source gave something: 64 bits each. */
const counterBytes = 24;

// By its own address: bundled it lies in another file.
const startWorker = () => new Worker(import.meta.url, { type: "module", name: workerName });

let spare: Worker | undefined;

/** Start a worker for the next transfer beside other work: that takes some 50 ms. */
export function prepareTransfer(): Disposable {
  const worker = spare ??= startWorker();
  const end = () => {
    if (spare !== worker) return;
    spare = undefined;
    worker.terminate();
  };
  // It was in vain: the transfer starts its own, and says what is wrong.
  worker.onerror = (event) => {
    event.preventDefault();
    end();
  };
  return { [Symbol.dispose]: end };
}

function takeWorker(): Worker {
  const worker = spare ?? startWorker();
  spare = undefined;
  return worker;
}

/**
 * Move all bytes of a source to a sink, in a worker, until the end or an abort.
 *
 * @throws {TransferError} if reading, writing or fsync fails
 */
export async function transfer(
  request: TransferRequest,
  hooks: TransferHooks,
  signal?: AbortSignal,
): Promise<TransferResult> {
  const counter = new SharedArrayBuffer(counterBytes);
  const moved = new BigInt64Array(counter);
  const worker = takeWorker();
  const timer = setInterval(() => hooks.onProgress(Number(Atomics.load(moved, 0))), progressMs);
  // terminate() does not end a worker that sleeps or reads: it is asked.
  const abort = () => Atomics.store(moved, 1, 1n);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  const { promise, resolve, reject } = Promise.withResolvers<TransferResult>();
  const idle = whenIdle(request.idleSeconds, () => Atomics.load(moved, 2), reject);
  try {
    worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (data.kind === "open") call(() => hooks.onOpen(), reject);
      else if (data.kind === "done") resolve(data.result);
      else reject(new TransferError(data.side, data.code, data.message));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`the pump failed: ${event.message}`));
    };
    worker.postMessage({ ...request, counter } satisfies Order);
    return await promise;
  } finally {
    clearInterval(idle);
    signal?.removeEventListener("abort", abort);
    clearInterval(timer);
    worker.terminate();
  }
}

/** Nobody would catch what is thrown in answer to a message. */
function call(action: () => void, fail: (error: unknown) => void): void {
  try {
    action();
  } catch (error) {
    fail(error);
  }
}

/** Fail when the source has given nothing for so long: a thread that waits for it cannot tell. */
function whenIdle(
  seconds: number | undefined,
  reads: () => bigint,
  fail: (error: TransferError) => void,
): ReturnType<typeof setInterval> | undefined {
  if (seconds === undefined) return undefined;
  let last = { reads: reads(), time: performance.now() };
  return setInterval(() => {
    const [now, time] = [reads(), performance.now()];
    if (now !== last.reads) last = { reads: now, time };
    else if (time - last.time > seconds * 1000) {
      fail(new TransferError("read", "idle", `nothing came for ${seconds} s`));
    }
  }, Math.min(1000, seconds * 100));
}

/** More came than may. */
class TooLargeError extends Error {
  readonly code = "too-large";
}

/** The worker's side: do as ordered and report. */
async function work(order: Order, report: (report: Report) => void): Promise<void> {
  const counter = new BigInt64Array(order.counter);
  try {
    const source = open("read", order.source, "r", order.sourceFile);
    const sink = order.sink === undefined
      ? undefined
      : open("write", order.sink, order.durable ? "r+" : "w", order.sinkFile);
    report({ kind: "open" });
    const header = order.headerLimit === undefined
      ? undefined
      : readLine(source, order.headerLimit);
    if (header?.startsWith(order.headerStart ?? "") === false) {
      // Whoever writes to a pipe that nobody reads is told so.
      fs.closeSync(source);
      return report({ kind: "done", result: { ...nothingMoved, header } });
    }
    const moved = await pump(source, sink, {
      durable: order.durable ?? false,
      limit: order.limit,
      drain: order.drain ?? false,
      hashed: order.hashed ?? true,
      ...(order.prefix === undefined ? {} : { prefix: order.prefix }),
      onProgress(bytes) {
        Atomics.store(counter, 0, BigInt(bytes));
        if (Atomics.load(counter, 1) !== 0n) throw new Error("aborted");
        if (bytes > (order.maximum ?? Infinity)) throw new TooLargeError();
      },
      onRead() {
        Atomics.add(counter, 2, 1n);
      },
    });
    if (sink !== undefined) fs.closeSync(sink);
    report({ kind: "done", result: { ...moved, header } });
  } catch (error) {
    const side = error instanceof PumpError ? error.side : "read";
    const cause = error instanceof PumpError ? error.cause : error;
    const message = cause instanceof Error ? cause.message : String(cause);
    report({ kind: "failed", side, code: errorCode(cause), message });
  }
}

const nothingMoved = {
  bytes: 0,
  sha256: "",
  sinkTookAll: true,
  framedLikeTar: false,
  isEmptyTar: false,
} as const;

function open(
  side: "read" | "write",
  path: string | 0,
  flags: string,
  identity: FileIdentity | undefined,
): number {
  if (path === 0) return path;
  try {
    if (identity === undefined) return fs.openSync(path, flags);
    const { O_RDONLY, O_WRONLY } = fs.constants;
    return openSame(path, side === "read" ? O_RDONLY : O_WRONLY, identity);
  } catch (error) {
    throw new PumpError(side, error);
  }
}

const scope = globalThis as unknown as {
  name?: string;
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(report: Report): void;
};

// In a worker of that name this module is the program; elsewhere it is only a library.
if (scope.name === workerName) {
  scope.onmessage = ({ data }) => void work(data, (report) => scope.postMessage(report));
}
