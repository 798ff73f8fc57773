import { makePrivateFolder, removeIfPresent } from "./durable.ts";
import { newRunId, type RunId, type RunOwner, runOwner } from "./run_id.ts";

/**
 * The uploads to one destination that were begun and are neither committed nor discarded, as far as we
 * know: an empty file for each, so that the next run knows what a killed one, or one whose connection
 * died, has left with the storage. Used by whoever holds the lock of the destination.
 */
export class PendingUploads {
  readonly #folder: string;
  readonly #owner: RunOwner;
  readonly #ids: Set<RunId>;

  /** @param base a private folder that lives longer than a run */
  constructor(base: string, owner: RunOwner) {
    this.#folder = `${base}/uploads`;
    this.#owner = owner;
    makePrivateFolder(this.#folder);
    const names = [...Deno.readDirSync(this.#folder)].map(({ name }) => name);
    this.#ids = new Set(names.filter((name) => {
      const found = runOwner(name);
      return found?.machine === owner.machine && found.target === owner.target;
    }));
  }

  get ids(): readonly RunId[] {
    return [...this.#ids];
  }

  /** An id for a new upload. */
  begin(): RunId {
    const id = newRunId(this.#owner);
    Deno.writeTextFileSync(`${this.#folder}/${id}`, "");
    this.#ids.add(id);
    return id;
  }

  /** An upload has been committed, or nothing is left of it. */
  settle(id: RunId): void {
    removeIfPresent(`${this.#folder}/${id}`);
    this.#ids.delete(id);
  }
}
