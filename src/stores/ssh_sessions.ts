import { isRunning } from "../system/process.ts";
import type { StoreContext } from "./mod.ts";
import type { Verb } from "./protocol.ts";
import type { SshConnection } from "./ssh_connection.ts";
import { SshDownload } from "./ssh_download.ts";
import { SshRequest } from "./ssh_request.ts";
import { SshUpload } from "./ssh_upload.ts";

/** `plasma serve` waits 30 seconds for a request; a session that is older is not relied upon. */
const usableMs = 20_000;

/** The exit status of ssh(1) when it is ssh itself that failed. */
const sshFailed = 255;

/** A `plasma serve` on the storage host that waits for its one request. */
type Session = SshRequest | SshUpload | SshDownload;
type Kind = "request" | "upload" | "download";

/** The kind of session that the next request usually wants, by what the store is opened for. */
const followers: Readonly<
  Record<NonNullable<StoreContext["purpose"]>, Partial<Record<Verb, Kind>>>
> = {
  backup: { hello: "upload", store: "request", receive: "request", commit: "request" },
  restore: { list: "download" },
  verify: { list: "request" },
};

interface Waiting {
  readonly kind: Kind;
  readonly since: number;
  readonly session: Promise<Session | undefined>;
  /** It logs in; later ones share its connection. */
  readonly isFirst: boolean;
}

/**
 * Opens sessions, and where it knows what comes next, one before it is needed, beside other work: the
 * login on the storage host and the start of `plasma serve` take longer than most requests. Nothing
 * depends on that.
 */
export class SshSessions implements AsyncDisposable {
  readonly #connection: SshConnection;
  readonly #context: StoreContext;
  #waiting: Waiting | undefined;

  constructor(connection: SshConnection, context: StoreContext) {
    this.#connection = connection;
    this.#context = context;
  }

  async request(): Promise<SshRequest> {
    const waiting = await this.#take("request");
    return waiting instanceof SshRequest ? waiting : await SshRequest.open(this.#connection);
  }

  /** @param folder a private folder for pipes */
  async upload(folder: string): Promise<SshUpload> {
    const waiting = await this.#take("upload");
    return waiting instanceof SshUpload ? waiting : await SshUpload.open(this.#connection, folder);
  }

  /** @param folder a private folder for pipes */
  async download(folder: string): Promise<SshDownload> {
    const waiting = await this.#take("download");
    if (waiting instanceof SshDownload) return waiting;
    return await SshDownload.open(this.#connection, folder);
  }

  /**
   * Open a session for what usually follows on a request.
   *
   * @param sending the request: as soon as its connection can be shared
   * @param isAnswerFirst whether to wait for its end: two programs that start at the same time are in
   * each other's way
   */
  prepareAfter(verb: Verb, sending: Promise<unknown>, isAnswerFirst = false): void {
    const { purpose } = this.#context;
    const kind = purpose === undefined ? undefined : followers[purpose][verb];
    if (kind === undefined) return;
    this.prepare(kind, () => isAnswerFirst ? sending : this.#connection.whenShared(sending));
  }

  /** Open a session for a request that will come, as soon as it may begin. */
  prepare(kind: Kind, begin?: () => Promise<unknown>): void {
    const { folder } = this.#context;
    if (folder === undefined || this.#hasFresh) return;
    const stale = this.#waiting?.session;
    const connection = this.#connection;
    const open = async () => {
      await (await stale)?.[Symbol.asyncDispose]();
      await begin?.();
      if (kind === "request") return await SshRequest.open(connection);
      if (kind === "upload") return await SshUpload.open(connection, folder);
      return await SshDownload.open(connection, folder);
    };
    const session = open().catch(() => undefined);
    this.#waiting = { kind, since: performance.now(), session, isFirst: begin === undefined };
  }

  get #hasFresh(): boolean {
    return this.#waiting !== undefined && performance.now() - this.#waiting.since < usableMs;
  }

  /** The session that waits, if it is of that kind and still good. It is the caller's now. */
  async #take(kind: Kind): Promise<Session | undefined> {
    if (this.#waiting?.kind !== kind) return undefined;
    const { session, since, isFirst } = this.#waiting;
    this.#waiting = undefined;
    const taken = await session;
    if (taken === undefined) return undefined;
    const isUsable = isRunning(taken.child)
      ? performance.now() - since < usableMs
      // A login that was refused is not tried twice: some hosts count that.
      : isFirst && (await taken.child.exited).code === sshFailed;
    if (isUsable) return taken;
    await taken[Symbol.asyncDispose]();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const session = await this.#waiting?.session;
    this.#waiting = undefined;
    await session?.[Symbol.asyncDispose]();
  }
}
