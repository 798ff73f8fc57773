import { createHash } from "node:crypto";
import fs from "node:fs";
import { errorCode } from "../errors.ts";
import { TarFrame } from "./tar_frame.ts";

/**
 * The one place where the bytes of an archive cross JavaScript: read, hash, count, write.
 *
 * Reading and writing block, which moves more bytes per second than the event loop does (measured:
 * 1.2 times less time than asynchronous reads of the same descriptors). So a program that must stay
 * responsive runs it in a worker, see pump_worker.ts.
 */

/** What has been moved. */
export interface Transfer {
  readonly bytes: number;
  /** SHA-256 of all bytes, hexadecimal. */
  readonly sha256: string;
}

/** What a pump has seen beside what it moved. */
export interface PumpResult extends Transfer {
  /** Whether the sink took all bytes. */
  readonly sinkTookAll: boolean;
  /**
   * Whether the bytes begin with a header and end with two blocks of 512 zero bytes, as a complete
   * tar does (POSIX.1-2001, pax): tar itself takes a cut or an all-zero file for a good archive.
   */
  readonly framedLikeTar: boolean;
  /** They are a tar without a member: nothing but zeros, and no more of them than tar writes then. */
  readonly isEmptyTar: boolean;
}

export interface PumpOptions {
  /** The sink is a file that must be on the disk when the pump is done. */
  readonly durable?: boolean;
  /** Bytes that came before those of the source. */
  readonly prefix?: Uint8Array;
  /** Bytes per second. */
  readonly limit?: number | undefined;
  /** When the sink wants no more, read on to the end and only count and hash. */
  readonly drain?: boolean;
  /** False if the bytes prove themselves: they are only counted, and their SHA-256 is "". */
  readonly hashed?: boolean;
  /** Told the sum of the bytes after each block. */
  readonly onProgress?: (bytes: number) => void;
  /** Told whenever the source has given something, be it less than a block. */
  readonly onRead?: () => void;
  /** When it is aborted the pump throws its reason. With it timers have their turn now and then. */
  readonly signal?: AbortSignal | undefined;
}

/** In which direction a pump failed; `cause` is the system's error. */
export class PumpError extends Error {
  override readonly name = "PumpError";

  constructor(readonly side: "read" | "write", override readonly cause: unknown) {
    super(`${side}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

const blockSize = 1 << 20;
/** Where nothing is hashed, what comes is handed on at once: that keeps both neighbours busy. */
const smallBlock = 128 << 10;
/** A durable file is brought to the disk while it grows, whenever this much has come in. */
const flushEvery = 32 << 20;
/** How much is moved between two turns of the event loop. */
const turnEvery = 32 << 20;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/**
 * Move all bytes of one open file to another, until the end of the source. Without a sink they are
 * only counted and hashed.
 *
 * The end of the source says nothing about success: whoever owns the producers must ask them.
 *
 * @throws {PumpError} if reading, writing or fsync fails
 */
export async function pump(
  source: number,
  sink: number | undefined,
  options: PumpOptions,
): Promise<PumpResult> {
  const { durable = false, prefix, limit, drain = false, hashed = true } = options;
  const { onProgress, onRead, signal } = options;
  const hash = hashed ? createHash("sha256") : undefined;
  // With a limit in small steps: the thread sleeps between two blocks and notices nothing.
  const step = limit === undefined ? blockSize : Math.ceil(limit / 10);
  const block = new Uint8Array(Math.min(hashed ? blockSize : smallBlock, step));
  const flush = durable && sink !== undefined ? new Flusher(sink) : undefined;
  const throttle = limit === undefined ? undefined : new Throttle(limit);
  const frame = new TarFrame();
  let bytes = 0;
  let nextTurn = turnEvery;
  let sinkTookAll = true;
  const put = (chunk: Uint8Array) => {
    hash?.update(chunk);
    if (sink !== undefined && sinkTookAll) sinkTookAll = writeAll(sink, chunk, drain);
    bytes += chunk.length;
    frame.update(chunk);
    onProgress?.(bytes);
    throttle?.wait(bytes);
  };

  if (prefix !== undefined && prefix.length > 0) put(prefix);
  for (;;) {
    const length = hashed ? fill(source, block, onRead) : readOnce(source, block, onRead);
    if (length === 0) break;
    put(block.subarray(0, length));
    if (flush?.isDue(bytes)) await flush.begin(bytes);
    if (signal !== undefined && bytes >= nextTurn) {
      nextTurn = bytes + turnEvery;
      await turn();
      signal.throwIfAborted();
    }
  }
  await flush?.finish();
  return {
    bytes,
    sha256: hash?.digest("hex") ?? "",
    sinkTookAll,
    framedLikeTar: frame.isComplete,
    isEmptyTar: frame.isEmpty,
  };
}

/**
 * Give all bytes of an open file away, until its end, without a look at them.
 *
 * @param give is done when the next bytes may take the place of these
 * @returns how many there were
 * @throws {PumpError} if reading fails, and what `give` throws
 */
export async function copy(
  source: number,
  give: (bytes: Uint8Array) => Promise<void>,
): Promise<number> {
  const block = new Uint8Array(blockSize);
  let bytes = 0;
  for (;;) {
    const length = fill(source, block);
    if (length === 0) return bytes;
    await give(block.subarray(0, length));
    bytes += length;
  }
}

/**
 * Read a line byte by byte, so that nothing beyond it is taken from the source.
 *
 * @param maximum no line has more bytes than this
 * @returns the line without its newline; shorter than it should be if the source ends before
 * @throws {PumpError} if reading fails
 */
export function readLine(source: number, maximum: number): string {
  const line = new Uint8Array(maximum);
  let length = 0;
  try {
    while (length < maximum && readSome(source, line.subarray(0, length + 1), length) === 1) {
      if (line[length] === 10) break;
      length++;
    }
  } catch (error) {
    throw new PumpError("read", error);
  }
  return new TextDecoder().decode(line.subarray(0, length));
}

/** Read until the block is full or the source ends: pipes give only 64 KiB at a time. */
function fill(source: number, block: Uint8Array, onRead?: () => void): number {
  let length = 0;
  try {
    while (length < block.length) {
      const count = readSome(source, block, length);
      if (count === 0) break;
      length += count;
      onRead?.();
    }
  } catch (error) {
    throw new PumpError("read", error);
  }
  return length;
}

/** As much as the source gives at once; 0 at its end. */
function readOnce(source: number, block: Uint8Array, onRead?: () => void): number {
  try {
    const count = readSome(source, block, 0);
    if (count > 0) onRead?.();
    return count;
  } catch (error) {
    throw new PumpError("read", error);
  }
}

/** Read what is there; standard input may be non-blocking, if who started us left it so. */
function readSome(source: number, block: Uint8Array, offset: number): number {
  for (;;) {
    try {
      return fs.readSync(source, block, offset, block.length - offset, null);
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw error;
      sleep(1);
    }
  }
}

/** Block this thread. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** False if the sink is a pipe that nobody reads any more, and that does not matter. */
function writeAll(sink: number, chunk: Uint8Array, drain: boolean): boolean {
  let offset = 0;
  try {
    while (offset < chunk.length) {
      offset += fs.writeSync(sink, chunk, offset, chunk.length - offset);
    }
    return true;
  } catch (error) {
    if (drain && errorCode(error) === "EPIPE") return false;
    throw new PumpError("write", error);
  }
}

/** Brings a growing file to the disk beside the writing, one fsync at a time. */
class Flusher {
  #flushed = 0;
  #running: Promise<void> | undefined;
  #failed: unknown;

  constructor(readonly file: number) {}

  isDue(bytes: number): boolean {
    return bytes - this.#flushed >= flushEvery;
  }

  async begin(bytes: number): Promise<void> {
    // Only a turn of the event loop tells whether the last fsync is done.
    await turn();
    if (this.#failed !== undefined) throw new PumpError("write", this.#failed);
    if (this.#running !== undefined) return;
    this.#flushed = bytes;
    this.#running = this.#sync().finally(() => this.#running = undefined);
  }

  async finish(): Promise<void> {
    await this.#running;
    if (this.#failed === undefined) await this.#sync();
    if (this.#failed !== undefined) throw new PumpError("write", this.#failed);
  }

  #sync(): Promise<void> {
    return new Promise((resolve) => {
      fs.fsync(this.file, (error) => {
        this.#failed ??= error ?? undefined;
        resolve();
      });
    });
  }
}

/** Sleeps so that no more than so many bytes per second pass. */
class Throttle {
  readonly #start = performance.now();

  constructor(readonly bytesPerSecond: number) {}

  wait(bytes: number): void {
    const due = this.#start + (bytes / this.bytesPerSecond) * 1000;
    const milliseconds = due - performance.now();
    if (milliseconds > 1) sleep(milliseconds);
  }
}
