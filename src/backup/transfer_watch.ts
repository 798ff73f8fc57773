import { PlasmaError } from "../errors.ts";
import type { Log } from "../system/log.ts";
import { Progress } from "../system/progress.ts";

/** What a transfer needs beside its ends. */
export interface TransferContext {
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Bytes per second. */
  readonly limit: number | undefined;
  readonly expectedBytes: number | undefined;
}

/** A transfer in which no byte moves for so long is given up. */
const stallSeconds = 3600;

/** Tells how far a transfer is, and ends it when it is aborted or when nothing moves any more. */
export class TransferWatch implements Disposable {
  #bytes = -1;
  #since = performance.now();
  #stalled = false;
  readonly #timer;
  readonly #aborting: Disposable;
  readonly #progress: Progress;

  /**
   * @param kill ends the transfer
   * @param onBytes is told the sum of bytes now and then
   */
  constructor(
    readonly context: TransferContext,
    readonly kill: () => void,
    readonly onBytes: (bytes: number) => void = () => {},
  ) {
    const { signal, log, expectedBytes } = context;
    this.#progress = new Progress(log, "archive", expectedBytes);
    this.#timer = setInterval(() => this.#look(), 1000);
    this.#aborting = onAbort(signal, kill);
    if (signal.aborted) kill();
  }

  update(bytes: number): void {
    this.#progress.update(bytes);
    this.onBytes(bytes);
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#since = performance.now();
  }

  #look(): void {
    if (performance.now() - this.#since < stallSeconds * 1000) return;
    this.#stalled = true;
    this.kill();
  }

  /** @throws the reason for which the transfer was ended, if it was */
  throwIfEnded(): void {
    this.context.signal.throwIfAborted();
    if (!this.#stalled) return;
    throw new PlasmaError("archive", `nothing moved for ${stallSeconds} s`, { code: "timeout" });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#aborting[Symbol.dispose]();
  }
}

/** Call a function when a signal is aborted, as long as the result is in scope. */
export function onAbort(signal: AbortSignal, react: () => void): Disposable {
  signal.addEventListener("abort", react);
  return {
    [Symbol.dispose]: () => signal.removeEventListener("abort", react),
  };
}
