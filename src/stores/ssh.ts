import fs from "node:fs";
import * as v from "valibot";
import { describeDestination, type Destination } from "../config/destination.ts";
import { PlasmaError } from "../errors.ts";
import { NamedPipe } from "../system/named_pipe.ts";
import { type Child, joinChunks, start } from "../system/process.ts";
import type { Transfer } from "../system/pump.ts";
import type { RunId } from "../system/run_id.ts";
import type {
  Claim,
  Committed,
  Listing,
  RotationReport,
  Store,
  StoreContext,
  StoreState,
  Upload,
} from "./mod.ts";
import { SshConnection } from "./ssh_connection.ts";

/** How long a storage host may take for an answer, in seconds. */
const patience = {
  hello: 60,
  /** From the last byte sent until all is on its disk. */
  store: 3600,
  commit: 900,
  abort: 30,
  list: 900,
  rotate: 3600,
} as const;

const helloAnswer = v.object({
  newestBytes: v.optional(v.number()),
  allow: v.array(v.string()),
});
const storeAnswer = v.object({ bytes: v.number(), sha256: v.string() });
const commitAnswer = v.object({ name: v.pipe(v.string(), v.regex(/^[0-9A-Za-z.-]+$/)) });
const names = v.array(v.string());
const listAnswer = v.object({
  archives: v.array(v.object({
    name: v.string(),
    time: v.string(),
    label: v.string(),
    kind: v.string(),
    bytes: v.number(),
    state: v.picklist(["complete", "no checksum", "dated in the future"]),
  })),
  foreign: names,
});
const rotateAnswer = v.object({
  folder: v.string(),
  decisions: v.array(v.object({ name: v.string(), keep: v.boolean(), reason: v.string() })),
  deleted: names,
  failed: v.array(v.object({ name: v.string(), error: v.string() })),
  future: names,
  foreign: names,
});

/** A storage folder on a storage host, reached through its `plasma serve`. */
export class SshStore implements Store {
  readonly name: string;
  readonly #folder: string;
  readonly #context: StoreContext;
  readonly #connection: SshConnection;

  constructor(destination: Extract<Destination, { kind: "ssh" }>, context: StoreContext) {
    this.name = describeDestination(destination);
    this.#folder = destination.folder;
    this.#context = context;
    this.#connection = new SshConnection(destination.ssh, context.folder);
  }

  async hello(): Promise<StoreState> {
    const { newestBytes, allow } = await this.#ask("hello", {}, helloAnswer);
    return { newestBytes, mayRotate: allow.includes("rotate") };
  }

  async upload(id: RunId): Promise<SshUpload> {
    const { folder } = this.#context;
    if (folder === undefined) throw new Error("an upload needs a folder for its pipe");
    const request = SshConnection.line("store", { folder: this.#folder, run: id });
    return await SshUpload.begin(this.#connection, request, folder);
  }

  async commit({ id, kind, bytes, sha256 }: Claim): Promise<Committed> {
    // Not broken off by a signal: then nobody would know whether there is an archive.
    const parameters = { run: id, kind, bytes, sha256 };
    return await this.#ask("commit", parameters, commitAnswer, { abortable: false });
  }

  async discard(id: RunId): Promise<void> {
    try {
      // When the run was aborted there is something to discard.
      await this.#ask("abort", { run: id }, v.object({}), { abortable: false });
    } catch {
      // The next upload tries again.
    }
  }

  async list(): Promise<Listing> {
    return await this.#ask("list", {}, listAnswer);
  }

  async rotate({ dryRun }: { dryRun: boolean }): Promise<RotationReport> {
    return await this.#ask("rotate", { dryRun }, rotateAnswer);
  }

  async #ask<T>(
    verb: keyof typeof patience,
    parameters: object,
    schema: v.GenericSchema<unknown, T>,
    { abortable }: { abortable: boolean } = { abortable: true },
  ): Promise<T> {
    const signal = abortable ? this.#context.signal : undefined;
    const answer = await this.#connection.request(
      verb,
      { folder: this.#folder, ...parameters },
      { timeoutSeconds: patience[verb], ...(signal === undefined ? {} : { signal }) },
    );
    return understand(answer, schema, this.#connection.host);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }
}

/** An upload over SSH: bytes go through a kernel pipe into ssh. */
class SshUpload implements Upload {
  readonly durable = false;
  readonly #output: Promise<Uint8Array>;

  private constructor(
    readonly connection: SshConnection,
    readonly pipe: NamedPipe,
    readonly child: Child,
  ) {
    const chunks: Uint8Array[] = [];
    child.process.stdout?.on("data", (chunk: Uint8Array) => {
      if (chunks.length < 100) chunks.push(chunk);
    });
    this.#output = child.exited.then(() => joinChunks(chunks));
  }

  static async begin(
    connection: SshConnection,
    request: string,
    folder: string,
  ): Promise<SshUpload> {
    const [pipe] = await NamedPipe.make(folder, ["upload"]);
    const end = pipe!.open("r");
    try {
      pipe!.prepend(new TextEncoder().encode(request));
      const child = await start(connection.command(), { stdin: end, stdout: "pipe" });
      return new SshUpload(connection, pipe!, child);
    } catch (error) {
      pipe![Symbol.dispose]();
      throw error;
    } finally {
      fs.closeSync(end);
    }
  }

  get sink(): string {
    return this.pipe.path;
  }

  onOpen(): void {
    this.pipe.release();
  }

  async complete(written: Transfer): Promise<void> {
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

  /** What the storage host says of the upload; waits until ssh has ended. */
  async #answer(): Promise<Record<string, unknown>> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.child.kill("SIGKILL");
    }, patience.store * 1000);
    try {
      const exit = await this.child.exited;
      const { messages } = this.child;
      const stdout = await this.#output;
      return this.connection.interpret({ exit, stdout, messages, timedOut }, patience.store);
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

function understand<T>(
  answer: Record<string, unknown>,
  schema: v.GenericSchema<unknown, T>,
  host: string,
): T {
  const result = v.safeParse(schema, answer);
  if (result.success) return result.output;
  throw new PlasmaError("connection", `${host} gave an answer that plasma does not understand`, {
    code: "protocol",
    remedy: "install the same version of plasma on both machines",
  });
}
