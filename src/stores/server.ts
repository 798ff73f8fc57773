import fs from "node:fs";
import * as v from "valibot";
import { ConfigError } from "../config/load.ts";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { isSubvolumeArchive } from "../rotation/archive_name.ts";
import { copy, PumpError } from "../system/pump.ts";
import { transfer, TransferError } from "../system/pump_worker.ts";
import { openRegularFile } from "../system/regular_file.ts";
import type { RunId } from "../system/run_id.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import { confine } from "./confine.ts";
import { LocalStore } from "./local.ts";
import type { HelloOptions, Upload } from "./mod.ts";
import {
  BrokenOff,
  formatAnswer,
  protocolVersion,
  type Request,
  requestSchema,
  type Verb,
  verbs,
} from "./protocol.ts";
import type { SessionPlaces } from "./session_places.ts";
import { brokenLimit, type UploadLimits } from "./upload_limits.ts";
import { version } from "../version.ts";

export { BrokenOff, readRequest } from "./wire.ts";

/** What a `plasma serve` may do. */
export interface ServerLimits {
  /** Every request is confined to this folder; absolute, symbolic links resolved. */
  readonly root: string | undefined;
  readonly allow: ReadonlySet<Verb>;
  readonly uploads?: UploadLimits;
}

/** The streams of a connection, for what is not one line. */
export interface Streams {
  /** Our standard input, which gives the raw bytes after the request. */
  readonly input: 0;
  /** Bytes that were read from it together with the request. */
  readonly prefix: Uint8Array;
  /** Send the line of an answer. Throws {@link BrokenOff}. */
  answer(line: string): Promise<void>;
  /** Send raw bytes after the answer. Throws {@link BrokenOff}. */
  send(bytes: Uint8Array): Promise<void>;
  /** An upload has limits of its own, and gives them back; what else may take long enters others. */
  readonly places: Pick<SessionPlaces, "giveBack" | "enter" | "whileOthersWork">;
}

/** Load what requests may need, which takes longer than to do what most of them ask for. */
export async function loadAll(): Promise<void> {
  await Promise.all([
    import("./serve_receive.ts"),
    import("./incoming_subvolumes.ts"),
    import("./commit_subvolumes.ts"),
    // The first child that is started has it loaded.
    import("node:net"),
  ]);
}

/**
 * Given the line of a request, do as it says and return the content of the answer; undefined if it
 * has been sent already.
 *
 * @throws {PlasmaError} if the request is refused or fails
 */
export async function serveRequest(
  line: string,
  streams: Streams,
  limits: ServerLimits,
): Promise<object | undefined> {
  const request = parseRequest(line, limits.allow);
  const store = new LocalStore(await confine(request.folder, limits.root));
  switch (request.verb) {
    case "hello": {
      const mayStore = limits.allow.has("store") || limits.allow.has("receive");
      const probe = request.probe && mayStore;
      const { mayRotate: _, ...state } = await store.hello(helloOptions({ ...request, probe }));
      return { version, ...state, allow: [...limits.allow] };
    }
    case "store": {
      const upload = await store.upload(request.run, limits.uploads);
      streams.places.giveBack();
      const received = await receive(upload, streams, limits.uploads);
      return await tellUploader(received, streams, store, request.run);
    }
    case "receive": {
      const { serveReceive } = await import("./serve_receive.ts");
      const received = await serveReceive(store, request, streams, limits.uploads);
      return await tellUploader(received, streams, store, request.run);
    }
    case "commit":
      return await store.commit({ ...request, id: request.run });
    case "abort":
      return { gone: await store.discard(request.run) };
    case "list":
      return await store.list();
    case "fetch":
      await streams.places.enter("downloads");
      return await send(store, request.name, streams);
    case "verify":
      await streams.places.enter("verifications");
      return await whileAwaited(
        (signal) => store.verify(request.name, { deep: request.deep, signal }),
        streams,
        limits.uploads,
      );
    case "rotate":
      return await store.rotate(request);
  }
}

/** Optional, and absent rather than undefined. */
function helloOptions(
  { subvolumes, probe, agent }: Extract<Request, { verb: "hello" }>,
): HelloOptions {
  return { subvolumes, probe, ...(agent === undefined ? {} : { agent }) };
}

/** How often we make sure that somebody waits for an answer, in milliseconds. */
const beatMs = 10_000;

/** An agent does not wait longer for an answer either. */
const mostHours = 24;

/**
 * Do what may take hours, as long as somebody waits for its answer. The end of our input does not say
 * that nobody does: agents send nothing after a request. So we write: a space now and then, which
 * before JSON has no meaning, fails as soon as the connection has ended.
 *
 * @param work must end soon after the signal
 */
async function whileAwaited<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { answer }: Streams,
  { idleSeconds = Infinity }: UploadLimits = {},
): Promise<T> {
  const ending = new AbortController();
  let beat = Promise.resolve();
  let isBeating = false;
  const beats = setInterval(() => {
    if (isBeating) return;
    isBeating = true;
    beat = answer(" ").then(() => void (isBeating = false), (error) => ending.abort(error));
  }, Math.min(beatMs, idleSeconds * 250));
  const why = `given up: it takes more than ${mostHours} h`;
  const end = setTimeout(
    () => ending.abort(new PlasmaError("storage", why, { code: "timeout" })),
    mostHours * 3_600_000,
  );
  try {
    return await work(ending.signal);
  } finally {
    clearInterval(beats);
    clearTimeout(end);
    await beat;
    ending.signal.throwIfAborted();
  }
}

/** Who is not there any more to hear that all has come will not commit it: then it is removed. */
async function tellUploader(
  received: object,
  streams: Streams,
  store: LocalStore,
  id: RunId,
): Promise<undefined> {
  try {
    await streams.answer(formatAnswer(received));
    return undefined;
  } catch (error) {
    await store.discard(id);
    throw new BrokenOff(`cannot answer: ${reasonOf(error)}`);
  }
}

/**
 * Take the raw bytes after a request into an upload. In a thread of its own: reading blocks, and a
 * client that sends nothing any more must be noticed.
 */
async function receive(
  begun: Upload,
  { input, prefix }: Streams,
  limits: UploadLimits = {},
): Promise<object> {
  await using upload = begun;
  const { sink, sinkFile, durable } = upload;
  const { maxBytes: maximum, idleSeconds } = limits;
  try {
    const { bytes, sha256 } = await transfer(
      { source: input, prefix, sink, sinkFile, durable, maximum, idleSeconds },
      { onOpen: () => upload.onOpen(), onProgress() {} },
    );
    await upload.complete({ bytes, sha256 });
    return { bytes, sha256 };
  } catch (error) {
    const cause = brokenLimit(error, limits) ??
      (error instanceof TransferError ? await upload.explain() : undefined) ?? error;
    if (cause instanceof PlasmaError) throw cause;
    throw new PlasmaError("storage", `cannot store the upload: ${reasonOf(cause)}`, {
      cause,
      code: "upload",
    });
  }
}

/**
 * What a client may be told of an error: never what is written in a file, which the faults of a config
 * and the messages of unforeseen errors quote.
 */
export function tellable(error: unknown): PlasmaError {
  if (error instanceof ConfigError) {
    const folder = error.file.slice(0, error.file.lastIndexOf("/"));
    return new PlasmaError("config", `${error.file} is wrong`, {
      code: error.code,
      status: error.status,
      remedy: `on the storage host run: plasma rotate --dry-run ${folder}`,
    });
  }
  if (error instanceof PlasmaError) return error;
  const what = errorCode(error) === undefined ? "internal error" : reasonOf(error);
  return new PlasmaError("storage", what, { cause: error });
}

/** Answer with what is known of an archive, then its bytes. */
async function send(store: LocalStore, name: string, streams: Streams): Promise<undefined> {
  await using pipes = await PipeFolder.make();
  await using download = await store.fetch(name, pipes.path);
  const file = openDownload(name, download.path);
  try {
    download.onOpen();
    const { bytes, sha256 } = download;
    await streams.answer(formatAnswer({ bytes, sha256 }));
    // Whoever asked compares the checksum: it would be wasted here.
    await download.finish(undefined, await copy(file, streams.send));
  } catch (error) {
    const cause = error instanceof PumpError ? error.cause : error;
    throw new BrokenOff(`cannot send ${name}: ${reasonOf(cause)}`);
  } finally {
    fs.closeSync(file);
  }
  return undefined;
}

/** An archive is a file in the storage folder; that of subvolumes is made in a pipe of ours. */
function openDownload(name: string, path: string): number {
  if (isSubvolumeArchive(name)) return fs.openSync(path, "r");
  try {
    return openRegularFile(path);
  } catch (error) {
    throw new PlasmaError("storage", `cannot read ${name}: ${reasonOf(error)}`, { cause: error });
  }
}

function parseRequest(line: string, allow: ReadonlySet<Verb>): Request {
  const bad = (message: string, code = "protocol") =>
    new PlasmaError("storage", `not a request of Plasma's protocol: ${message}`, { code });
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw bad("no JSON");
  }
  if (typeof value !== "object" || value === null) throw bad("no JSON object");
  const { protocol, verb } = value as Record<string, unknown>;
  if (protocol !== protocolVersion) {
    throw bad(`protocol must be ${protocolVersion}, this is plasma ${version}`);
  }
  if (!verbs.includes(verb as Verb)) throw bad(`verb must be one of ${verbs.join(", ")}`);
  if (!allow.has(verb as Verb)) {
    throw new PlasmaError("storage", `this key may not ${verb}`, { code: "not-allowed" });
  }
  const result = v.safeParse(requestSchema, value);
  if (result.success) return result.output;
  throw bad(`${v.getDotPath(result.issues[0]) ?? "the request"} is missing or wrong`);
}
