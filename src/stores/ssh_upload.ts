import * as v from "valibot";
import { PlasmaError } from "../errors.ts";
import { NamedPipe } from "../system/named_pipe.ts";
import { type Child, collect, type Output, start } from "../system/process.ts";
import type { Transfer } from "../system/pump.ts";
import { byteCount, sha256 } from "./answers.ts";
import type { Upload } from "./mod.ts";
import { type SshConnection, understand } from "./ssh_connection.ts";

const storeAnswer = v.object({ bytes: byteCount, sha256 });

/** The answers to an upload have no more bytes: one may name ten thousand subvolumes by numbers. */
const longestAnswer = 256 << 10;

/** From the last byte sent until all is on the storage host's disk. */
const patienceSeconds = 3600;

/** An upload over SSH: bytes go through a kernel pipe into ssh. */
export class SshUpload implements Upload {
  readonly durable = false;
  readonly #output: () => Pick<Output, "stdout" | "overflowed">;
  #onWritten: (sending: Promise<unknown>) => void = () => {};

  private constructor(
    readonly connection: SshConnection,
    readonly pipe: NamedPipe,
    readonly child: Child,
  ) {
    this.#output = collect(child, longestAnswer);
  }

  /** @param folder a private folder for the pipe */
  static async open(connection: SshConnection, folder: string): Promise<SshUpload> {
    const [pipe] = await NamedPipe.make(folder, ["upload"]);
    try {
      using end = pipe!.open("r");
      const child = await start(connection.command(), { stdin: end.file, stdout: "pipe" });
      return new SshUpload(connection, pipe!, child);
    } catch (error) {
      pipe![Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Send the request, before the bytes.
   *
   * @param onWritten is called when all bytes are on their way, with the end of ssh
   */
  send(request: string, onWritten: (sending: Promise<unknown>) => void): void {
    this.#onWritten = onWritten;
    this.pipe.prepend(new TextEncoder().encode(request));
  }

  get sink(): string {
    return this.pipe.path;
  }

  onOpen(): void {
    this.pipe.release();
  }

  async complete(written: Transfer): Promise<void> {
    this.#onWritten(this.child.exited);
    const received = understand(await this.#answer(), storeAnswer, this.connection.host);
    if (received.bytes === written.bytes && received.sha256 === written.sha256) return;
    throw new PlasmaError(
      "upload",
      `${this.connection.host} received ${received.bytes} bytes with SHA-256 ${received.sha256}, ` +
        `but ${written.bytes} with ${written.sha256} were sent`,
      { code: "mismatch" },
    );
  }

  async explain(): Promise<Error | undefined> {
    try {
      await this.#answer();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #answer(): Promise<Record<string, unknown>> {
    return this.connection.interpret(await this.output(), patienceSeconds);
  }

  /** All that the storage host has said; waits until ssh has ended. */
  async output(): Promise<Output> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.child.kill("SIGKILL");
    }, patienceSeconds * 1000);
    try {
      const exit = await this.child.exited;
      const { messages } = this.child;
      return { exit, ...this.#output(), messages, timedOut };
    } finally {
      clearTimeout(timer);
    }
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pipe[Symbol.dispose]();
    this.kill();
    await this.child.exited;
  }
}
