import * as v from "valibot";
import { describeDestination, type Destination } from "../config/destination.ts";
import { PlasmaError } from "../errors.ts";
import type { RunId } from "../system/run_id.ts";
import type {
  Claim,
  Committed,
  Download,
  Listing,
  ReceiveOrder,
  RotationReport,
  Store,
  StoreContext,
  StoreState,
  Upload,
  Verdict,
  VerifyOptions,
} from "./mod.ts";
import { SshConnection, understand } from "./ssh_connection.ts";
import { SshDownload } from "./ssh_download.ts";
import { SshUpload } from "./ssh_upload.ts";

/** How long a storage host may take for an answer, in seconds. */
const patience = {
  hello: 60,
  receive: 300,
  commit: 900,
  abort: 30,
  list: 900,
  /** Reading a large archive from a slow disk takes hours. */
  verify: 24 * 3600,
  rotate: 3600,
} as const;

const helloAnswer = v.object({
  newestBytes: v.optional(v.number()),
  allow: v.array(v.string()),
  subvolumes: v.optional(
    v.object({ identities: v.array(v.string()), compressedData: v.boolean() }),
  ),
});
const commitAnswer = v.object({ name: v.pipe(v.string(), v.regex(/^[0-9A-Za-z.-]+$/)) });
const verifyAnswer = v.object({
  name: v.string(),
  state: v.picklist(["ok", "damaged", "no checksum", "unreadable"]),
  detail: v.string(),
  bytes: v.number(),
});
const names = v.array(v.string());
const listAnswer = v.object({
  archives: v.array(v.object({
    name: v.string(),
    time: v.string(),
    label: v.string(),
    kind: v.string(),
    bytes: v.number(),
    state: v.picklist(["complete", "no checksum", "dated in the future"]),
    verified: v.optional(v.string()),
    finding: v.optional(v.string()),
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

  async hello(subvolumes = false): Promise<StoreState> {
    const answer = await this.#ask("hello", { subvolumes }, helloAnswer);
    if (subvolumes && !answer.allow.includes("receive")) {
      throw new PlasmaError("storage", `${this.#connection.host}: this key may not receive`, {
        code: "not-allowed",
        remedy: "let its plasma serve --allow receive,rotate",
      });
    }
    const { newestBytes, allow } = answer;
    return { newestBytes, mayRotate: allow.includes("rotate"), ...subvolumesIn(answer) };
  }

  async upload(id: RunId): Promise<Upload> {
    return await this.#upload("store", { run: id });
  }

  async receive(id: RunId, order: ReceiveOrder): Promise<Upload> {
    return await this.#upload("receive", { run: id, ...order });
  }

  async copyStored(id: RunId, order: ReceiveOrder): Promise<void> {
    await this.#ask("receive", { run: id, ...order, copy: true }, v.object({}));
  }

  async #upload(verb: "store" | "receive", parameters: object): Promise<SshUpload> {
    const { folder } = this.#context;
    if (folder === undefined) throw new Error("an upload needs a folder for its pipe");
    const request = SshConnection.line(verb, { folder: this.#folder, ...parameters });
    return await SshUpload.begin(this.#connection, request, folder);
  }

  async commit({ id, kind, bytes, sha256, subvolumes }: Claim): Promise<Committed> {
    // Not broken off by a signal: then nobody would know whether there is an archive.
    const parameters = { run: id, kind, bytes, sha256, subvolumes };
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

  async fetch(name: string, folder: string): Promise<Download> {
    const request = SshConnection.line("fetch", { folder: this.#folder, name });
    return await SshDownload.begin(this.#connection, request, folder);
  }

  async verify(name: string, { deep }: VerifyOptions): Promise<Verdict> {
    return await this.#ask("verify", { name, deep }, verifyAnswer);
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

/** Optional, and absent rather than undefined. */
function subvolumesIn(
  { subvolumes }: v.InferOutput<typeof helloAnswer>,
): Pick<StoreState, "subvolumes"> {
  return subvolumes === undefined ? {} : { subvolumes };
}
