import { PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";
import type { UploadLimits } from "./upload_limits.ts";

/** How often a process is looked at, in milliseconds. */
const intervalMs = 2_000;

const defaultIdleSeconds = 3600;

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

  /** @param kill is called when nothing has come for too long */
  constructor(
    readonly pid: number,
    { idleSeconds: idle = defaultIdleSeconds }: UploadLimits,
    readonly kill: () => void,
  ) {
    this.#timer = setInterval(() => void this.#look(idle), Math.min(intervalMs, idle * 250));
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
      const { exit, stdout } = await run({ program: "cat", args: [`/proc/${this.pid}/io`] });
      if (exit.code === 0) this.#judge(new TextDecoder().decode(stdout), idleSeconds);
    } finally {
      this.#isLooking = false;
    }
  }

  #judge(counters: string, idleSeconds: number): void {
    const now = performance.now();
    if (counters !== this.#seen) this.#since = now;
    this.#seen = counters;
    if (now - this.#since <= idleSeconds * 1000) return;
    const why = `the upload was given up: nothing came for ${idleSeconds} s (--idle-timeout)`;
    this.#broken = new PlasmaError("storage", why, { code: "idle" });
    this.kill();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
