import { isSubvolumeArchive } from "../rotation/archive_name.ts";
import { rotateFolder } from "../rotation/rotate.ts";
import { localNow } from "../system/local_time.ts";
import type { RunId } from "../system/run_id.ts";
import type { FileIdentity } from "../system/same_file.ts";
import type { Transfer } from "../system/pump.ts";
import { commitUpload } from "./commit.ts";
import { StorageFolder } from "./folder.ts";
import { isSharedNow } from "./history.ts";
import type { IncomingSubvolumes, ReceiveOptions } from "./incoming_subvolumes.ts";
import { IncomingUpload, removeUpload } from "./incoming.ts";
import { listFolder, newestBytes } from "./listing.ts";
import { openArchive } from "./local_download.ts";
import type { UploadLimits } from "./upload_limits.ts";
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
  StoredState,
  StoreState,
  Upload,
  Verdict,
  VerifyOptions,
} from "./mod.ts";
import { freeBytes, probeStorage } from "./probe.ts";

/** A storage folder on this machine. It is the only code that writes archives. */
export class LocalStore implements Store {
  constructor(readonly name: string) {}

  connect(): void {}

  async hello(
    { subvolumes = false, probe = false, agent }: HelloOptions = {},
  ): Promise<StoreState> {
    const folder = await this.#open();
    if (probe) probeStorage(folder);
    return {
      newestBytes: newestBytes(folder),
      freeBytes: freeBytes(folder),
      ...(isSharedNow(folder.journal, agent) ? { isShared: true } : {}),
      mayRotate: true,
      ...(subvolumes ? { subvolumes: await storedState(folder) } : {}),
    };
  }

  receive(id: RunId, batch: ReceiveBatch): Promise<Reception> {
    return this.receiveWith({}, id, batch);
  }

  /** As {@link receive}, from elsewhere or within other limits. */
  async receiveWith(
    options: ReceiveOptions,
    id: RunId,
    batch: ReceiveBatch | (() => Promise<ReceiveBatch>),
  ): Promise<IncomingSubvolumes> {
    const incoming = await import("./incoming_subvolumes.ts");
    return await incoming.IncomingSubvolumes.begin(await this.#open(), id, batch, options);
  }

  async upload(id: RunId, limits: UploadLimits = {}): Promise<LocalUpload> {
    return new LocalUpload(await IncomingUpload.begin(await this.#open(), id, limits));
  }

  async commit(claim: Claim): Promise<Committed> {
    return await commitUpload(await this.#open(), claim);
  }

  async discard(id: RunId): Promise<boolean> {
    try {
      await removeUpload(await this.#open(), id);
      return true;
    } catch {
      return false;
    }
  }

  async list(): Promise<Listing> {
    return listFolder(await this.#open(), await localNow());
  }

  async rotate(options: { dryRun: boolean }): Promise<RotationReport> {
    return await rotateFolder(await this.#open(), options);
  }

  async fetch(name: string, pipes: string): Promise<Download> {
    const folder = await this.#open();
    if (!isSubvolumeArchive(name)) return openArchive(folder, name);
    const { downloadSubvolumes } = await import("./subvolume_archive.ts");
    return await downloadSubvolumes(folder, name, pipes);
  }

  async verify(name: string, options: VerifyOptions): Promise<Verdict> {
    const { verifyArchive } = await import("./verify.ts");
    return await verifyArchive(await this.#open(), name, options);
  }

  /** Opened anew for each request: meanwhile the disk may be gone, or the policy be another. */
  #open(): Promise<StorageFolder> {
    return StorageFolder.open(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** An upload into a folder on this machine. */
export class LocalUpload implements Upload {
  readonly durable = true;

  constructor(readonly incoming: IncomingUpload) {}

  get sink(): string {
    return this.incoming.path;
  }

  get sinkFile(): FileIdentity {
    return this.incoming.identity;
  }

  onOpen(): void {}

  kill(): void {}

  complete(written: Transfer): Promise<void> {
    this.incoming.complete(written);
    return Promise.resolve();
  }

  explain(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.incoming[Symbol.dispose]();
    return Promise.resolve();
  }
}

/** What is stored of subvolumes. Throws if none can be received here. */
async function storedState(folder: StorageFolder): Promise<StoredState> {
  const { requireBtrfsStorage, storedIdentities } = await import("./stored_subvolumes.ts");
  const { canReceiveCompressedData } = await import("../btrfs/send.ts");
  const state = Promise.all([storedIdentities(folder), canReceiveCompressedData()]);
  // That it is not on btrfs says more than what fails for that.
  state.catch(() => {});
  await requireBtrfsStorage(folder);
  const [identities, compressedData] = await state;
  return { identities, compressedData };
}
