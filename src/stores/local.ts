import { rotateFolder } from "../rotation/rotate.ts";
import type { RunId } from "../system/run_id.ts";
import type { Transfer } from "../system/pump.ts";
import { commitUpload } from "./commit.ts";
import { StorageFolder } from "./folder.ts";
import { IncomingUpload, removeUpload } from "./incoming.ts";
import { listFolder, newestBytes } from "./listing.ts";
import { type LocalArchive, openArchive } from "./local_download.ts";
import type {
  Claim,
  Committed,
  Listing,
  RotationReport,
  Store,
  StoreState,
  Upload,
  Verdict,
  VerifyOptions,
} from "./mod.ts";

/** A storage folder on this machine. It is the only code that writes archives. */
export class LocalStore implements Store {
  constructor(readonly name: string) {}

  async hello(): Promise<StoreState> {
    return { newestBytes: newestBytes(await this.#open()), mayRotate: true };
  }

  async upload(id: RunId): Promise<LocalUpload> {
    return new LocalUpload(await IncomingUpload.begin(await this.#open(), id));
  }

  async commit(claim: Claim): Promise<Committed> {
    return await commitUpload(await this.#open(), claim);
  }

  async discard(id: RunId): Promise<void> {
    try {
      await removeUpload(await this.#open(), id);
    } catch {
      // The next upload tries again.
    }
  }

  async list(): Promise<Listing> {
    return listFolder(await this.#open());
  }

  async rotate(options: { dryRun: boolean }): Promise<RotationReport> {
    return await rotateFolder(await this.#open(), options);
  }

  async fetch(name: string): Promise<LocalArchive> {
    return openArchive(await this.#open(), name);
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
