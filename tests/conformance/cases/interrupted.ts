import { assertEquals } from "@std/assert";
import { sidecarSuffix } from "../../../src/rotation/archive_name.ts";
import type { Claim } from "../../../src/stores/mod.ts";
import { archivesIn, namesIn } from "../../support/folders.ts";
import { ageUploads } from "../../support/storage.ts";
import { type Bench, type Cases, codeOf } from "../bench.ts";

/** The name that the interrupted commit had given. */
const given = "20240229-0000-daily.tar";

/** A commit that was killed when it had put its sidecar in place. */
async function killedAfterSidecar(bench: Bench): Promise<Claim> {
  const claim = await bench.upload("content");
  const { sidecar } = bench.files(claim.id);
  Deno.writeTextFileSync(sidecar, `${claim.sha256}  ${given}\n`);
  Deno.linkSync(sidecar, `${bench.storage}/${given}${sidecarSuffix}`);
  return claim;
}

/** A commit that was killed when it had put sidecar and archive in place. */
async function killedAfterArchive(bench: Bench): Promise<Claim> {
  const claim = await killedAfterSidecar(bench);
  Deno.linkSync(bench.files(claim.id).part, `${bench.storage}/${given}`);
  return claim;
}

const orphans = (bench: Bench) => {
  const archives = archivesIn(bench.storage);
  return namesIn(bench.storage).filter((name) =>
    name.endsWith(sidecarSuffix) && !archives.includes(name.slice(0, -sidecarSuffix.length))
  );
};

/** Commits that were killed on their way, as a power cut leaves them too. */
export const interrupted: Cases = {
  "a commit that was killed before the archive was in place can be done again": async (bench) => {
    const claim = await killedAfterSidecar(bench);
    assertEquals((await bench.store.list()).archives, []);
    const { name } = await bench.store.commit(claim);
    assertEquals(await bench.store.commit(claim), { name });
    await bench.assertHolds(name);
  },

  "a commit that was killed before the archive was in place is cleaned up": async (bench) => {
    await killedAfterSidecar(bench);
    await ageUploads(bench.storage);
    const name = await bench.commit("the next one");
    assertEquals(orphans(bench), []);
    await bench.assertHolds(name);
  },

  "a commit that was killed with the archive in place is finished under the same name": async (
    bench,
  ) => {
    const claim = await killedAfterArchive(bench);
    assertEquals(await bench.store.commit(claim), { name: given });
    assertEquals(await bench.store.commit(claim), { name: given });
    await bench.assertHolds(given);
    assertEquals(Deno.readTextFileSync(`${bench.storage}/${given}`), "content");
  },

  "an archive in place is kept when the next upload cleans up, and when it is discarded": async (
    bench,
  ) => {
    const claim = await killedAfterArchive(bench);
    await ageUploads(bench.storage);
    await bench.assertHolds(given, await bench.commit("the next one"));
    await bench.store.discard(claim.id);
    assertEquals(archivesIn(bench.storage).length, 2);
  },

  "a commit that was killed while it tidied up is found again": async (bench) => {
    const claim = await killedAfterArchive(bench);
    Deno.removeSync(bench.files(claim.id).received);
    assertEquals(await bench.store.commit(claim), { name: given });
    await bench.assertHolds(given);
  },

  "a sidecar that is left alone is not an archive, and goes with the next rotation": async (
    bench,
  ) => {
    const claim = await killedAfterSidecar(bench);
    const { part, received, sidecar } = bench.files(claim.id);
    for (const path of [part, received, sidecar]) Deno.removeSync(path);
    assertEquals(await bench.store.list(), { archives: [], foreign: [] });
    await bench.store.rotate({ dryRun: true });
    assertEquals(orphans(bench).length, 1);
    await bench.store.rotate({ dryRun: false });
    assertEquals(orphans(bench), []);
  },

  "a record of an upload without its bytes is no upload": async (bench) => {
    const claim = await bench.upload("content");
    Deno.removeSync(bench.files(claim.id).part);
    await codeOf(bench.store.commit(claim));
    assertEquals((await bench.store.list()).archives, []);
    assertEquals(orphans(bench), []);
    await bench.assertHoldsAfterCommit();
  },

  "an upload of which the record is torn is no upload": async (bench) => {
    const claim = await bench.upload("content");
    Deno.writeTextFileSync(bench.files(claim.id).received, `{"bytes":7,"sha`);
    assertEquals(await codeOf(bench.store.commit(claim)), "no-upload");
    await bench.assertHoldsAfterCommit();
  },
};
