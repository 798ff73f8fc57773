import fs from "node:fs";
import { errorCode, PlasmaError } from "../errors.ts";
import { isRunning } from "../system/process.ts";
import { readyAnswer, receivedAnswer } from "./answers.ts";
import { type Received, type Reception, refusalError } from "./mod.ts";
import { understand } from "./ssh_connection.ts";
import type { SshUpload } from "./ssh_upload.ts";

/** How long a storage host may take to copy what it has, and be ready for the streams, in seconds. */
const patienceSeconds = 900;

/** Subvolumes on their way over SSH: one session for all of them. */
export class SshReception implements Reception {
  readonly durable = false;
  #received: Promise<Received> | undefined;

  private constructor(
    readonly session: SshUpload,
    readonly prepareNext: (ending: Promise<unknown>) => void,
  ) {}

  /**
   * Send the request and the list of the orders, and wait until the storage host is ready.
   *
   * @param prepareNext is called when the streams begin, which may be short, and when all bytes are on
   * their way, with the end of ssh
   */
  static async begin(
    session: SshUpload,
    request: string,
    orders: Uint8Array,
    prepareNext: (ending: Promise<unknown>) => void,
  ): Promise<SshReception> {
    const reception = new SshReception(session, prepareNext);
    try {
      const ready = reception.#firstLine();
      await write(session, request, orders);
      if (!await ready) await reception.#refused();
      prepareNext(session.child.exited);
      return reception;
    } catch (error) {
      await reception[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** False if ssh ends, or nothing comes, before there is a line. */
  #firstLine(): Promise<boolean> {
    const { child } = this.session;
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), patienceSeconds * 1000);
      const settle = (isThere: boolean) => {
        clearTimeout(timer);
        resolve(isThere);
      };
      let text = "";
      child.process.stdout?.on("data", (chunk: Uint8Array) => {
        if (text.includes("\n")) return;
        text += new TextDecoder().decode(chunk);
        // A refusal is followed by the end of ssh: then all of it is there.
        if (text.includes("\n")) settle(text.includes('"ready":true'));
      });
      child.exited.then(() => settle(false));
    });
  }

  /** The storage host is not ready: say why. */
  async #refused(): Promise<never> {
    this.session.pipe.release();
    const { connection } = this.session;
    connection.interpret(await this.session.output(), patienceSeconds);
    throw new PlasmaError("connection", `${connection.host} gave no answer to the request`, {
      code: "protocol",
      remedy: "install the same version of plasma on both machines",
    });
  }

  get sink(): string {
    return this.session.sink;
  }

  onOpen(): void {
    this.session.onOpen();
  }

  kill(): void {
    this.session.kill();
  }

  finish(): Promise<Received> {
    return this.#received ??= this.#finish();
  }

  async #finish(): Promise<Received> {
    this.prepareNext(this.session.child.exited);
    const output = await this.session.output();
    const { connection } = this.session;
    const end = output.stdout.indexOf(10) + 1;
    const ready = { ...output, stdout: output.stdout.subarray(0, end) };
    understand(connection.interpret(ready, patienceSeconds), readyAnswer, connection.host);
    const rest = { ...output, stdout: output.stdout.subarray(end) };
    const answer = connection.interpret(rest, patienceSeconds);
    return understand(answer, receivedAnswer, connection.host);
  }

  async explain(): Promise<Error | undefined> {
    try {
      const { refusal } = await this.finish();
      return refusal === undefined ? undefined : refusalError(refusal);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }
}

/** How often a full pipe is tried again, in milliseconds. */
const pauseMs = 5;

/** Write as ssh reads: all of it need not fit into the pipe. Ends when ssh does. */
async function write({ pipe, child }: SshUpload, request: string, orders: Uint8Array) {
  const { O_WRONLY, O_NONBLOCK } = fs.constants;
  const file = fs.openSync(pipe.path, O_WRONLY | O_NONBLOCK);
  try {
    for (const part of [new TextEncoder().encode(request), orders]) {
      for (let offset = 0; offset < part.length && isRunning(child);) {
        const count = writeSome(file, part.subarray(offset));
        offset += count;
        if (count === 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  } finally {
    fs.closeSync(file);
  }
}

/** PIPE_BUF of Linux: so many bytes are written as a whole or not at all, see pipe(7). */
const atomicWrite = 4096;

/** 0 if the pipe is full. */
function writeSome(file: number, bytes: Uint8Array): number {
  try {
    return fs.writeSync(file, bytes, 0, Math.min(bytes.length, atomicWrite));
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return 0;
    throw error;
  }
}
