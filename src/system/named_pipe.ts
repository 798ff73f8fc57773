import fs from "node:fs";
import { PlasmaError } from "../errors.ts";
import { run } from "./process.ts";

/**
 * A pipe with a name, fifo(7): joins two children, or a child and the pump, without a detour
 * through JavaScript.
 *
 * It holds both ends open itself until both users have theirs, so that nobody waits for the other
 * in open(2), and nobody takes an end that was never opened for the end of the data.
 */
export class NamedPipe implements Disposable {
  readonly path: string;
  #keeper: number | undefined;

  private constructor(path: string) {
    this.path = path;
    this.#keeper = fs.openSync(path, "r+");
  }

  static #made = 0;

  /** Make pipes in a folder; the names only tell people what they are for. */
  static async make(folder: string, names: readonly string[]): Promise<NamedPipe[]> {
    if (names.length === 0) return [];
    const paths = names.map((name) => `${folder}/${name}-${++NamedPipe.#made}`);
    const { exit, messages } = await run({
      program: "mkfifo",
      args: ["--mode=0600", "--", ...paths],
    });
    if (exit.code !== 0) throw new PlasmaError("start", `mkfifo failed: ${messages.tail}`);
    return paths.map((path) => new NamedPipe(path));
  }

  /** Put a few bytes (at most PIPE_BUF, 4096) into the pipe before anything else. */
  prepend(bytes: Uint8Array): void {
    fs.writeSync(this.#keeper!, bytes);
  }

  /** Open an end to hand to a child; it is closed here when the child has been started. */
  open(end: "r" | "w"): PipeEnd {
    return new PipeEnd(fs.openSync(this.path, end));
  }

  /** Both users have their ends: from now on the end of one is seen by the other. */
  release(): void {
    if (this.#keeper === undefined) return;
    fs.closeSync(this.#keeper);
    this.#keeper = undefined;
    try {
      fs.unlinkSync(this.path);
    } catch {
      // It goes with its folder, and is in nobody's way until then.
    }
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** An open end of a pipe. */
export class PipeEnd implements Disposable {
  #open = true;

  constructor(readonly file: number) {}

  [Symbol.dispose](): void {
    if (this.#open) fs.closeSync(this.file);
    this.#open = false;
  }
}
