import { assertEquals, assertRejects } from "@std/assert";
import { fileSource } from "../../src/backup/byte_source.ts";
import { type Uploaded, uploadFrom } from "../../src/backup/attempt.ts";
import { PlasmaError } from "../../src/errors.ts";
import type { Claim, Store } from "../../src/stores/mod.ts";
import { Log } from "../../src/system/log.ts";
import { newRunId, type RunId, type RunOwner } from "../../src/system/run_id.ts";
import { archivesIn, namesIn, type TemporaryFolder } from "../support/folders.ts";
import { assertAllVerify } from "../support/storage.ts";
import type { StoreKind } from "./store_suite.ts";

/** What a store promises, and how that is tried. */
export type Cases = Readonly<Record<string, (bench: Bench) => Promise<void>>>;

/** The owner of the runs of a case. */
const owner: RunOwner = { machine: "0123abcd", target: "89abcdef" };

/** A store with a storage folder of its own, and what can be seen of it without the store. */
export class Bench implements AsyncDisposable {
  readonly #opened: Store[] = [];

  private constructor(
    readonly kind: StoreKind,
    readonly folder: TemporaryFolder,
    readonly storage: string,
    /** The store that most cases need. */
    readonly store: Store,
  ) {}

  static async make(kind: StoreKind, folder: TemporaryFolder): Promise<Bench> {
    const storage = folder.storage("storage");
    return new Bench(kind, folder, storage, await kind.open(storage));
  }

  /** Another store, as another run would have it. */
  async open(storage = this.storage): Promise<Store> {
    const own = this.folder.at(`own${this.#opened.length}`);
    Deno.mkdirSync(own, { mode: 0o700 });
    const store = await this.kind.open(storage, own);
    this.#opened.push(store);
    return store;
  }

  /** Another policy from now on. */
  setPolicy(policy: object): void {
    this.folder.storage("storage", policy);
  }

  newId(): RunId {
    return newRunId(owner);
  }

  /** Upload something, as a run does it; it is not committed. */
  async upload(
    content: string | Uint8Array,
    { store = this.store, id = this.newId() } = {},
  ): Promise<Claim> {
    const source = fileSource(this.folder.write(`sources/${id}`, content));
    const uploaded: Uploaded = await uploadFrom(source, store, id, {
      signal: new AbortController().signal,
      log: new Log({ quiet: true }),
      limit: undefined,
      expectedBytes: undefined,
    });
    const { bytes, sha256 } = uploaded;
    return { id, kind: "tar", bytes, sha256 };
  }

  /** Upload something as one of several machines. */
  async uploadAsOther(machine: number, store: Store): Promise<Claim> {
    const id = newRunId({ ...owner, machine: String(machine).padStart(8, "0") });
    return await this.upload(`content ${machine}`, { store, id });
  }

  /** Upload and commit something; returns the archive's name. */
  async commit(content: string | Uint8Array, { store = this.store } = {}): Promise<string> {
    return (await store.commit(await this.upload(content, { store }))).name;
  }

  /** The paths of the files that a run has in `.plasma/incoming`. */
  files(id: RunId) {
    const base = `${this.incoming}/${id}`;
    return { part: `${base}.part`, received: `${base}.received`, sidecar: `${base}.sha256` };
  }

  get incoming(): string {
    return `${this.storage}/.plasma/incoming`;
  }

  /** Nothing is stored but these archives, each is whole, and no upload has left anything. */
  async assertHolds(...names: string[]): Promise<void> {
    const { archives } = await this.store.list();
    assertEquals(archives.map(({ name }) => name), names);
    assertEquals(archivesIn(this.storage), names.toSorted());
    await assertAllVerify(this.storage);
    assertEquals(namesIn(this.incoming), []);
  }

  /** The next commit is the only archive, and cleans up. */
  async assertHoldsAfterCommit(): Promise<void> {
    await this.assertHolds(await this.commit("the next one"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#opened) await store[Symbol.asyncDispose]();
  }
}

/** The code of the error with which something is refused. */
export async function codeOf(refused: Promise<unknown>): Promise<string> {
  const error: PlasmaError = await assertRejects(() => refused, PlasmaError);
  return error.code;
}
