import type { Store } from "../../src/stores/mod.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { Bench, type Cases } from "./bench.ts";
import { commits } from "./cases/commits.ts";
import { interrupted } from "./cases/interrupted.ts";
import { leftovers } from "./cases/leftovers.ts";
import { names } from "./cases/names.ts";
import { refusals } from "./cases/refusals.ts";
import { rotations } from "./cases/rotations.ts";

/** A kind of store, and what all the cases together need of it. */
export interface StoreKind extends AsyncDisposable {
  /**
   * Open the storage folder at a path of this machine.
   *
   * @param folder private to the store; without one it shares what costs time with the others, and
   * must not be disposed of nor have an upload beside theirs
   */
  open(storage: string, folder?: string): Promise<Store>;
}

/** The promises of src/stores/mod.ts. */
const cases: Cases = {
  ...commits,
  ...refusals,
  ...leftovers,
  ...interrupted,
  ...names,
  ...rotations,
};

/** Hold a kind of store to its promises: each case with a storage folder of its own. */
export function testStore(name: string, start: () => Promise<StoreKind>): void {
  Deno.test(`${name} keeps the promises of a store`, async (test) => {
    await using kind = await start();
    for (const [promise, run] of Object.entries(cases)) {
      await test.step(promise, async () => {
        using folder = new TemporaryFolder();
        await using bench = await Bench.make(kind, folder);
        await run(bench);
      });
    }
  });
}
