import { PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";
import type { UploadLimits } from "./upload_limits.ts";

/** How often a process is looked at, in milliseconds. */
const intervalMs = 2_000;

const defaultIdleSeconds = 3600;

export interface WatchHooks {
  /** Whether more has come than may come. */
  isTooMuch(): boolean;
  /** Told now and then how many bytes the process has read. */
  onRead(bytes: number): void;
  /** Nothing has come for too long, or too much. */
  kill(): void;
}

/**
 * Watches a process that reads the connection itself: no byte of it passes through us. What it has read
 * and written so far the kernel counts, see proc_pid_io(5). When it has ended nothing comes any more,
 * though programs before it may still wait for the connection.
 */
export class ReceiveWatch implements Disposable {
  readonly #timer;
  #seen = "";
  #since = performance.now();
  #isLooking = false;
  #broken: PlasmaError | undefined;

  constructor(
    readonly pid: number,
    { idleSeconds: idle = defaultIdleSeconds }: UploadLimits,
    readonly hooks: WatchHooks,
  ) {
    this.#timer = setInterval(
      () => void this.#look(idle).catch(() => {}),
      Math.min(intervalMs, idle * 250),
    );
    Deno.unrefTimer(this.#timer);
  }

  /** Set if it was killed because nothing came. */
  get broken(): PlasmaError | undefined {
    return this.#broken;
  }

  async #look(idleSeconds: number): Promise<void> {
    if (this.#isLooking || this.#broken !== undefined) return;
    this.#isLooking = true;
    try {
      if (this.hooks.isTooMuch()) this.hooks.kill();
      const { exit, stdout } = await run({ program: "cat", args: [`/proc/${this.pid}/io`] });
      this.#judge(exit.code === 0 ? new TextDecoder().decode(stdout) : "ended", idleSeconds);
    } finally {
      this.#isLooking = false;
    }
  }

  #judge(counters: string, idleSeconds: number): void {
    const now = performance.now();
    const read = /^rchar: (\d+)$/m.exec(counters)?.[1];
    if (read !== undefined) this.hooks.onRead(Number(read));
    if (counters !== this.#seen) this.#since = now;
    this.#seen = counters;
    if (now - this.#since <= idleSeconds * 1000) return;
    const why = `the upload was given up: nothing came for ${idleSeconds} s (--idle-timeout)`;
    this.#broken = new PlasmaError("storage", why, { code: "idle" });
    this.hooks.kill();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
