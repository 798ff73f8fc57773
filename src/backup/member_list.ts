import fs from "node:fs";
import { errorCode } from "../errors.ts";
import type { MemberCounter } from "../strategies/member_counter.ts";
import { NamedPipe } from "../system/named_pipe.ts";

/** What a pipe holds, pipe(7): some 600 members. */
const pipeBytes = 64 << 10;

/**
 * After so many milliseconds the pipe is emptied again, the sooner the more was in it. tar writes each line
 * by itself: whoever waits for it is woken by each, which would cost more than all the rest.
 */
const pauses = { busy: 2, idle: 10 } as const;

/** The list of what tar archives, which it writes into a pipe while it works. */
export class MemberList implements Disposable {
  readonly #pipe: NamedPipe;
  readonly #counter: MemberCounter;
  readonly #file: number;
  readonly #block = new Uint8Array(pipeBytes);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOpen = true;
  #failure: unknown;

  private constructor(pipe: NamedPipe, counter: MemberCounter) {
    this.#pipe = pipe;
    this.#counter = counter;
    this.#file = fs.openSync(pipe.path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    this.#poll();
  }

  /** @param folder a private folder for the pipe */
  static async begin(counter: MemberCounter, folder: string): Promise<MemberList> {
    const [pipe] = await NamedPipe.make(folder, ["members"]);
    counter.reset();
    return new MemberList(pipe!, counter);
  }

  /** What makes tar write the list. In local time each line would cost a look at /etc/localtime. */
  get flags(): readonly string[] {
    return ["--verbose", "--verbose", "--utc", `--index-file=${this.#pipe.path}`];
  }

  #poll(): void {
    // Some versions of Deno call what was just taken back.
    if (!this.#isOpen) return;
    let bytes;
    try {
      bytes = this.#empty();
    } catch (error) {
      this.#failure = error;
      return;
    }
    const pause = bytes > pipeBytes / 16 ? pauses.busy : pauses.idle;
    this.#timer = setTimeout(() => this.#poll(), pause);
  }

  /** Count all that is in the pipe now. Returns how much that was, in bytes. */
  #empty(): number {
    let sum = 0;
    for (;;) {
      const length = this.#read();
      if (length === 0) return sum;
      this.#counter.add(this.#block.subarray(0, length));
      sum += length;
      if (length < pipeBytes / 2) return sum;
    }
  }

  #read(): number {
    try {
      return fs.readSync(this.#file, this.#block, 0, pipeBytes, null);
    } catch (error) {
      if (errorCode(error) === "EAGAIN") return 0;
      throw error;
    }
  }

  /**
   * tar has ended: count what is left of the list.
   *
   * @throws what has kept us from reading it
   */
  finish(): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#empty();
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    fs.closeSync(this.#file);
    this.#pipe.release();
  }
}
