import type { Destination } from "../config/destination.ts";
import { PlasmaError } from "../errors.ts";
import type { RunId } from "../system/run_id.ts";
import type { FileIdentity } from "../system/same_file.ts";
import type { Transfer } from "../system/pump.ts";
import type { SubvolumeRecord } from "./manifest.ts";

/**
 * A place for archives: a storage folder, here or on a storage host.
 *
 * Promises of every store (the conformance suite in tests/conformance holds them to it):
 * - an archive is listed only if it was committed: all bytes are there, on the disk, and have the
 *   size and SHA-256 that the committer has claimed;
 * - a committed archive is never changed or overwritten by a later commit;
 * - an upload that is not committed, for whatever reason, leaves nothing that is ever taken for an
 *   archive, and the next upload of the same owner removes what it left;
 * - to commit the same run twice gives the same archive.
 */
export interface Store extends AsyncDisposable {
  /** The destination as it is written on a command line. */
  readonly name: string;
  /** Begin to connect, beside other work. Never throws: what is wrong the first request finds, too. */
  connect(): void;
  /**
   * Make sure that there is a storage folder, and with `probe` that archives can be stored in it now:
   * what an upload and its commit need is tried. Leaves nothing.
   */
  hello(options?: HelloOptions): Promise<StoreState>;
  /** Begin an upload, and remove what dead runs of the same owner have left. */
  upload(id: RunId): Promise<Upload>;
  /**
   * Begin to receive subvolumes of an upload, in one go. What has come whole stays when another one is
   * refused, and the upload goes on with the next call; all of them are committed together.
   */
  receive(id: RunId, batch: ReceiveBatch): Promise<Reception>;
  /** Make a completed upload an archive. */
  commit(claim: Claim): Promise<Committed>;
  /**
   * Remove what an upload has left, committed archives excepted. Never throws.
   *
   * @returns false if something may be left
   */
  discard(id: RunId): Promise<boolean>;
  /** The archives, oldest first. */
  list(): Promise<Listing>;
  /**
   * Begin to read an archive.
   *
   * @param folder a private folder for pipes
   */
  fetch(name: string, folder: string): Promise<Download>;
  /** Recompute the checksum of an archive where it lies, and with `deep` read it through. */
  verify(name: string, options: VerifyOptions): Promise<Verdict>;
  /** Delete what the folder's policy no longer keeps. */
  rotate(options: { dryRun: boolean }): Promise<RotationReport>;
}

/** What is asked of a store before it is used. */
export interface HelloOptions {
  /** Whether the archives will be subvolumes of btrfs. */
  readonly subvolumes?: boolean;
  /** Whether something is to be stored. */
  readonly probe?: boolean;
  /** Who asks, see {@link Claim}. */
  readonly agent?: string;
}

/** What a store says of itself. */
export interface StoreState {
  /** The size in bytes of the newest archive, a guess at that of the next one. */
  readonly newestBytes: number | undefined;
  /** How much can still be stored, in bytes, as far as that is known. */
  readonly freeBytes?: number | undefined;
  /** Whether others store into the same folder too. */
  readonly isShared?: boolean | undefined;
  /** Whether this agent may ask for a rotation. */
  readonly mayRotate: boolean;
  /** If subvolumes were asked for: what is stored of them. */
  readonly subvolumes?: StoredState | undefined;
}

/** What a store has of subvolumes that were sent to it. */
export interface StoredState {
  /** The uuids that they had where they were sent from. */
  readonly identities: readonly string[];
  /** Whether extents can be sent as they are compressed (protocol 2 of btrfs send). */
  readonly compressedData: boolean;
}

/** A subvolume that is to be received. */
export interface ReceiveOrder extends SubvolumeRecord {
  /** The uuid, where it comes from, of the snapshot that the stream builds upon. */
  readonly parent?: string | undefined;
  /** It is stored already: it is copied there, and no stream of it comes. */
  readonly copy: boolean;
}

/** Subvolumes whose streams follow one another. */
export interface ReceiveBatch {
  /** How the streams are compressed together, as the kind of an archive: "tar", "tar.zst" ... */
  readonly stream: string;
  /** In the order of the streams. */
  readonly orders: readonly ReceiveOrder[];
}

/** What has come of a batch. */
export interface Received {
  /** Which of the orders are not in the upload, by their indexes, in ascending order. */
  readonly missing: readonly number[];
  /** Why the first one of them is not; or what else came. */
  readonly refusal?: string | undefined;
  /** That one ended the stream: of those that followed nothing is known. Else each was refused. */
  readonly isCut?: boolean | undefined;
}

/** That the store has refused a subvolume: it may take all of it, if this was an increment. */
export function refusalError(refusal: string): PlasmaError {
  return new PlasmaError("receive", refusal, { code: "receive" });
}

/** Where bytes go. */
interface Inlet extends AsyncDisposable {
  /** A path that the bytes are to be written to. */
  readonly sink: string;
  /** No other file than this one may be written at the path. */
  readonly sinkFile?: FileIdentity;
  /** Whether the writer must bring them to the disk. */
  readonly durable: boolean;
  /** The writer has opened the sink. */
  onOpen(): void;
  /** Why the store stopped taking bytes, if it did. */
  explain(): Promise<Error | undefined>;
  /** Stop taking bytes at once. */
  kill(): void;
}

/** An upload under way. */
export interface Upload extends Inlet {
  /**
   * The writer is done: wait until the store has everything safely.
   *
   * @throws {PlasmaError} if the store has not received what was written
   */
  complete(written: Transfer): Promise<void>;
}

/** Subvolumes that are being received. */
export interface Reception extends Inlet {
  /**
   * The writer is done, or the store takes no more: what has come?
   *
   * @throws {PlasmaError} if that cannot be found out
   */
  finish(): Promise<Received>;
}

/** An archive that is being read. */
export interface Download extends AsyncDisposable {
  /** A file or a pipe that gives its bytes. */
  readonly path: string;
  /** What that file is known by: another one of that name is not to be read. */
  readonly file?: FileIdentity;
  /** How many bytes there are, and their SHA-256 when they were stored, as far as it is known. */
  readonly bytes: number | undefined;
  readonly sha256: string | undefined;
  /** Before the bytes comes a line of at most so many bytes, for {@link finish}. */
  readonly headerLimit: number | undefined;
  /** If that line does not begin so, {@link finish} throws: what follows it is not the archive. */
  readonly headerStart?: string;
  /** The reader has opened the path. */
  onOpen(): void;
  /**
   * All bytes have been read: were these all that are stored?
   *
   * @returns the SHA-256 that was recorded when the archive was stored, if one was
   * @throws {PlasmaError} if the archive could not be read to its end
   */
  finish(header: string | undefined, bytes: number): Promise<string | undefined>;
  /** Stop giving bytes at once. */
  kill(): void;
}

export interface VerifyOptions {
  /** Also decompress the archive and read the tar through. */
  readonly deep: boolean;
  /** Reading it through may take so long; a storage host has limits of its own. */
  readonly timeoutSeconds?: number | undefined;
  /** When it is aborted the verification ends soon: nothing is found and noted. Not over SSH. */
  readonly signal?: AbortSignal | undefined;
}

/** What a verification has found. */
export interface Verdict {
  readonly name: string;
  readonly state: "ok" | "damaged" | "no checksum" | "unreadable";
  /** For people: what was compared and found. */
  readonly detail: string;
  readonly bytes: number;
}

/** What the uploader says of its upload; believed only if the store has found the same. */
export interface Claim extends Transfer {
  readonly id: RunId;
  /** The kind of the archive, see ArchiveName: "tar", "tar.zst" ..., "btrfs". */
  readonly kind: string;
  /** Who stores it: eight hexadecimal digits for the machine, the user and the config. */
  readonly agent?: string | undefined;
}

/** A committed archive. */
export interface Committed {
  readonly name: string;
  /** What went wrong after the archive was stored: something of its upload is left. */
  readonly problem?: string | undefined;
}

/** One archive in a listing. */
export interface ListedArchive {
  readonly name: string;
  /** Local time of the storage host, ISO 8601 without zone. */
  readonly time: string;
  readonly label: string;
  readonly kind: string;
  readonly bytes: number;
  readonly state: "complete" | "no checksum" | "dated in the future";
  /** When the journal says that it was last verified: UTC, ISO 8601. */
  readonly verified?: string | undefined;
  /** What is wrong with it, as far as verifications have found: a state of a Verdict. */
  readonly finding?: string | undefined;
}

export interface Listing {
  readonly archives: readonly ListedArchive[];
  /** What else lies in the folder: never counted, never deleted. */
  readonly foreign: readonly string[];
  /** What keeps the listing from being complete, if anything does. */
  readonly problem?: string | undefined;
}

/** What a rotation did, or with a dry run would do. */
export interface RotationReport {
  readonly folder: string;
  readonly decisions: readonly { name: string; keep: boolean; reason: string }[];
  readonly deleted: readonly string[];
  readonly failed: readonly { name: string; error: string }[];
  readonly future: readonly string[];
  readonly foreign: readonly string[];
}

/** What a store needs to know beside its destination. */
export interface StoreContext {
  /** A private folder for pipes and sockets that lives as long as the store, if there is one. */
  readonly folder?: string;
  readonly signal?: AbortSignal;
  /** Told why a request has to wait. */
  readonly tell?: (words: string) => void;
  /** What the store is opened for: it may make itself ready for what usually comes next. */
  readonly purpose?: "backup" | "restore" | "verify";
}

/** The kinds of stores: a new one is a file and a row here. */
const stores: {
  readonly [Kind in Destination["kind"]]: (
    destination: Extract<Destination, { kind: Kind }>,
    context: StoreContext,
  ) => Promise<Store>;
} = {
  local: async ({ folder }) => new (await import("./local.ts")).LocalStore(folder),
  ssh: async (destination, context) =>
    new (await import("./ssh.ts")).SshStore(destination, context),
};

/** The store at a destination. Nothing is touched or connected yet. */
export function openStore(destination: Destination, context: StoreContext = {}): Promise<Store> {
  return destination.kind === "local"
    ? stores.local(destination, context)
    : stores.ssh(destination, context);
}
