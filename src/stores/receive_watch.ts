import { PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";

/** What a reception may take, see UploadLimits. */
export interface ReceiveLimits {
  /** Bytes of all its streams, without the compression of the way. */
  readonly maxBytes?: number | undefined;
  /** One of which nothing comes for so long is given up. */
  readonly idleSeconds?: number | undefined;
}

/** How often a process is looked at, in milliseconds. */
const intervalMs = 2_000;

const byDefault = { idleSeconds: 3600 } as const;

/**
 * Watches a process that reads the connection itself: no byte of it passes through us. What it has read
 * and written so far the kernel counts, see proc_pid_io(5).
 */
export class ReceiveWatch implements Disposable {
  readonly #timer;
  #seen = "";
  #since = performance.now();
  #isLooking = false;
  #broken: PlasmaError | undefined;

  /** @param kill is called when a limit is broken */
  constructor(
    readonly pid: number,
    readonly limits: ReceiveLimits,
    readonly kill: () => void,
  ) {
    const idle = limits.idleSeconds ?? byDefault.idleSeconds;
    this.#timer = setInterval(() => void this.#look(idle), Math.min(intervalMs, idle * 250));
    Deno.unrefTimer(this.#timer);
  }

  /** Which limit was broken, if one was. */
  get broken(): PlasmaError | undefined {
    return this.#broken;
  }

  async #look(idleSeconds: number): Promise<void> {
    if (this.#isLooking || this.#broken !== undefined) return;
    this.#isLooking = true;
    try {
      const { exit, stdout } = await run({ program: "cat", args: [`/proc/${this.pid}/io`] });
      if (exit.code === 0) this.#judge(new TextDecoder().decode(stdout), idleSeconds);
    } finally {
      this.#isLooking = false;
    }
  }

  #judge(counters: string, idleSeconds: number): void {
    const { maxBytes } = this.limits;
    const now = performance.now();
    if (counters !== this.#seen) this.#since = now;
    this.#seen = counters;
    const read = Number(/^rchar: (\d+)$/m.exec(counters)?.[1] ?? 0);
    if (maxBytes !== undefined && read > maxBytes) {
      this.#break(
        "max-size",
        `the streams are larger than this key may store (--max-size, ${maxBytes} bytes)`,
      );
    } else if (now - this.#since > idleSeconds * 1000) {
      this.#break(
        "idle",
        `the upload was given up: nothing came for ${idleSeconds} s (--idle-timeout)`,
      );
    }
  }

  #break(code: string, message: string): void {
    this.#broken = new PlasmaError("storage", message, { code });
    this.kill();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
