import * as v from "valibot";
import { PlasmaError } from "../errors.ts";
import { NamedPipe } from "../system/named_pipe.ts";
import { type Child, start } from "../system/process.ts";
import { byteCount, sha256 } from "./answers.ts";
import type { Download } from "./mod.ts";
import { grantedStart, maximumRequest } from "./protocol.ts";
import { type SshConnection, understand } from "./ssh_connection.ts";

const fetchAnswer = v.object({ bytes: v.optional(byteCount), sha256: v.optional(sha256) });

/** The storage host may take so long to end the session when all bytes have come. */
const lingerMs = 30_000;

/** A download over SSH: the bytes come out of ssh into a kernel pipe, after a line of answer. */
export class SshDownload implements Download {
  /** The answer tells them, and it comes only when the bytes do. */
  readonly bytes = undefined;
  readonly sha256 = undefined;
  readonly headerLimit = maximumRequest;
  readonly headerStart = grantedStart;

  private constructor(
    readonly connection: SshConnection,
    readonly pipe: NamedPipe,
    readonly child: Child,
  ) {}

  /** @param folder a private folder for the pipe */
  static async open(connection: SshConnection, folder: string): Promise<SshDownload> {
    const [pipe] = await NamedPipe.make(folder, ["download"]);
    try {
      using end = pipe!.open("w");
      const child = await start(connection.command(), { stdin: "pipe", stdout: end.file });
      // A child that ends before it has read its input is judged by its exit status.
      child.process.stdin?.on("error", () => {});
      return new SshDownload(connection, pipe!, child);
    } catch (error) {
      pipe![Symbol.dispose]();
      throw error;
    }
  }

  /** Send the request; the bytes come after its answer. */
  send(request: string): void {
    this.child.process.stdin?.end(request);
  }

  get path(): string {
    return this.pipe.path;
  }

  onOpen(): void {
    this.pipe.release();
  }

  async finish(header: string | undefined, bytes: number): Promise<string | undefined> {
    // Nothing more is read from it: it has no reason to stay.
    const timer = setTimeout(() => this.kill(), lingerMs);
    const exit = await this.child.exited;
    clearTimeout(timer);
    const { messages } = this.child;
    const stdout = new TextEncoder().encode(header ? `${header}\n` : "");
    const answer = this.connection.interpret({ exit, stdout, messages, timedOut: false }, 0);
    const { host } = this.connection;
    const stored = understand(answer, fetchAnswer, host);
    const isWhole = stored.bytes === undefined || stored.bytes === bytes;
    if (isWhole && exit.code === 0) return stored.sha256;
    const words = messages.tail === "" ? "" : `: ${messages.tail}`;
    throw new PlasmaError(
      "download",
      `only ${bytes} of ${stored.bytes ?? "all"} bytes came from ${host}${words}`,
      { code: "connection", remedy: "try again" },
    );
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
