import * as v from "valibot";
import { describeDestination, type Destination } from "../config/destination.ts";
import { PlasmaError } from "../errors.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";
import type { RunId } from "../system/run_id.ts";
import type {
  Claim,
  Committed,
  Download,
  HelloOptions,
  Listing,
  ReceiveBatch,
  Reception,
  RotationReport,
  Store,
  StoreContext,
  StoreState,
  Upload,
  Verdict,
  VerifyOptions,
} from "./mod.ts";
import { askAgain } from "./ask_again.ts";
import { commitAnswer, helloAnswer, listAnswer, rotateAnswer, verifyAnswer } from "./answers.ts";
import { SshConnection, understand, unintelligible } from "./ssh_connection.ts";
import { requireSshFiles } from "./ssh_files.ts";
import { SshSessions } from "./ssh_sessions.ts";
import type { SshUpload } from "./ssh_upload.ts";

/** How long a storage host may take for an answer, in seconds. */
const patience = {
  hello: 60,
  commit: 900,
  /** Only tidies up: on a dead connection the next upload does it. */
  abort: 10,
  list: 900,
  /** Reading a large archive from a slow disk takes hours. */
  verify: 24 * 3600,
  rotate: 3600,
} as const;

/**
 * An answer that is longer, in bytes, is none of ours. The list of a hundred thousand archives has
 * 20 MB; 100,000 subvolumes that are stored 4 MB.
 */
const longestAnswer: Readonly<Record<keyof typeof patience, number>> = {
  hello: 16 << 20,
  commit: 64 << 10,
  abort: 64 << 10,
  list: 32 << 20,
  verify: 64 << 10,
  rotate: 32 << 20,
};

interface Asking {
  readonly abortable?: boolean;
  /** The session for the next request is opened when this one has been answered. */
  readonly isAnswerFirst?: boolean;
  /** What must not keep a run from its end. */
  readonly isTriedOnce?: boolean;
}

/** A storage folder on a storage host, reached through its `plasma serve`. */
export class SshStore implements Store {
  readonly name: string;
  readonly #folder: string;
  readonly #context: StoreContext;
  readonly #connection: SshConnection;
  readonly #sessions: SshSessions;
  /** As far as we know: the rotation follows on the commit. */
  #mayRotate = false;

  constructor(destination: Extract<Destination, { kind: "ssh" }>, context: StoreContext) {
    requireSshFiles(destination.ssh);
    this.name = describeDestination(destination);
    this.#folder = destination.folder;
    this.#context = context;
    this.#connection = new SshConnection(destination.ssh, context.folder);
    this.#sessions = new SshSessions(this.#connection, context);
  }

  connect(): void {
    this.#sessions.prepare("request");
  }

  async hello(
    { subvolumes = false, probe = false, agent }: HelloOptions = {},
  ): Promise<StoreState> {
    // Snapshots are taken before any subvolume is sent: that is time enough for the next session.
    const isAnswerFirst = subvolumes;
    const parameters = { subvolumes, probe, agent };
    const answer = await this.#ask("hello", parameters, helloAnswer, { isAnswerFirst });
    this.#mayRotate = answer.allow.includes("rotate");
    if (subvolumes) this.#require("receive", "receive,rotate", answer.allow);
    else if (probe) this.#require("store", "store,rotate", answer.allow);
    const { allow: _, subvolumes: __, ...state } = answer;
    const { newestBytes } = answer;
    return { ...state, newestBytes, mayRotate: this.#mayRotate, ...subvolumesIn(answer) };
  }

  #require(verb: "store" | "receive", groups: string, allowed: readonly string[]): void {
    if (allowed.includes(verb)) return;
    throw new PlasmaError("storage", `${this.#connection.host}: this key may not ${verb}`, {
      code: "not-allowed",
      remedy: `let its plasma serve --allow ${groups}`,
    });
  }

  async upload(id: RunId): Promise<Upload> {
    return await this.#upload("store", { run: id });
  }

  async receive(id: RunId, { stream, orders }: ReceiveBatch): Promise<Reception> {
    const { SshReception } = await import("./ssh_reception.ts");
    const session = await this.#session();
    const list = new TextEncoder().encode(JSON.stringify(orders));
    const parameters = { folder: this.#folder, run: id, stream, orders: list.length };
    const request = SshConnection.line("receive", parameters);
    return await SshReception.begin(
      session,
      request,
      list,
      (ending) => this.#sessions.prepareAfter("receive", ending),
    );
  }

  async #upload(verb: "store", parameters: object): Promise<SshUpload> {
    const upload = await this.#session();
    const request = SshConnection.line(verb, { folder: this.#folder, ...parameters });
    upload.send(request, (sending) => this.#sessions.prepareAfter(verb, sending));
    return upload;
  }

  async #session(): Promise<SshUpload> {
    const { folder } = this.#context;
    if (folder === undefined) throw new Error("an upload needs a folder for its pipe");
    return await this.#sessions.upload(folder);
  }

  async commit({ id, kind, bytes, sha256, agent }: Claim): Promise<Committed> {
    // Not broken off by a signal: then nobody would know whether there is an archive.
    const parameters = { run: id, kind, bytes, sha256, agent };
    const committed = await this.#ask("commit", parameters, commitAnswer, { abortable: false });
    if (parseArchiveName(committed.name)?.kind === kind) return committed;
    throw unintelligible(this.#connection.host, "name");
  }

  async discard(id: RunId): Promise<boolean> {
    try {
      // When the run was aborted there is something to discard.
      const answer = v.object({ gone: v.boolean() });
      const asking = { abortable: false, isTriedOnce: true };
      return (await this.#ask("abort", { run: id }, answer, asking)).gone;
    } catch {
      return false;
    }
  }

  async list(): Promise<Listing> {
    return await this.#ask("list", {}, listAnswer);
  }

  async fetch(name: string, folder: string): Promise<Download> {
    const download = await this.#sessions.download(folder);
    download.send(SshConnection.line("fetch", { folder: this.#folder, name }));
    return download;
  }

  async verify(name: string, { deep }: VerifyOptions): Promise<Verdict> {
    const verdict = await this.#ask("verify", { name, deep }, verifyAnswer);
    if (verdict.name === name) return verdict;
    throw unintelligible(this.#connection.host, "name");
  }

  async rotate({ dryRun }: { dryRun: boolean }): Promise<RotationReport> {
    return await this.#ask("rotate", { dryRun }, rotateAnswer);
  }

  async #ask<T>(
    verb: keyof typeof patience,
    parameters: object,
    schema: v.GenericSchema<unknown, T>,
    asking: Asking = {},
  ): Promise<T> {
    const { abortable = true, isTriedOnce = false } = asking;
    const signal = abortable ? this.#context.signal : undefined;
    const ask = async () => {
      const answer = await this.#askOnce(verb, parameters, signal, asking);
      return understand(answer, schema, this.#connection.host);
    };
    return await (isTriedOnce ? ask() : askAgain(ask, { signal, tell: this.#context.tell }));
  }

  async #askOnce(
    verb: keyof typeof patience,
    parameters: object,
    signal: AbortSignal | undefined,
    { isAnswerFirst = false }: Asking,
  ): Promise<Record<string, unknown>> {
    const line = SshConnection.line(verb, { folder: this.#folder, ...parameters });
    const timeoutSeconds = patience[verb];
    const request = await this.#sessions.request();
    const answering = request.send(line, {
      timeoutSeconds,
      maximumOutput: longestAnswer[verb],
      ...(signal === undefined ? {} : { signal }),
    }).then((output) => this.#connection.interpret(output, timeoutSeconds));
    if (verb !== "commit" || this.#mayRotate) {
      this.#sessions.prepareAfter(verb, answering, isAnswerFirst);
    }
    return await answering;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions[Symbol.asyncDispose]();
    await this.#connection.close();
  }
}

/** Optional, and absent rather than undefined. */
function subvolumesIn(
  { subvolumes }: v.InferOutput<typeof helloAnswer>,
): Pick<StoreState, "subvolumes"> {
  return subvolumes === undefined ? {} : { subvolumes };
}
