import { assertEquals, assertRejects } from "@std/assert";
import fs from "node:fs";
import { ExitStatus } from "../../../src/exit_status.ts";
import { PlasmaError } from "../../../src/errors.ts";
import type { Claim, Store } from "../../../src/stores/mod.ts";
import { namesIn } from "../../support/folders.ts";
import { until } from "../../support/sh.ts";
import { type Bench, type Cases, codeOf } from "../bench.ts";

const sha256 = "0".repeat(64);

/** Begin an upload and write something, which does not end. */
async function beginUpload(bench: Bench, claim: Claim): Promise<AsyncDisposable> {
  const upload = await bench.store.upload(claim.id);
  const sink = fs.openSync(upload.sink, "r+");
  upload.onOpen();
  fs.writeSync(sink, "content");
  await until("the upload has begun", () => namesIn(bench.incoming).length > 0);
  return {
    async [Symbol.asyncDispose]() {
      fs.closeSync(sink);
      await upload[Symbol.asyncDispose]();
    },
  };
}

/** Call with every request that a store answers, one after the other. */
async function forEachRequest(
  bench: Bench,
  store: Store,
  check: (answer: Promise<unknown>) => Promise<void>,
): Promise<void> {
  const claim = { id: bench.newId(), kind: "tar", bytes: 0, sha256 };
  await check(store.hello());
  await check(bench.upload("content", { store }));
  await check(store.commit(claim));
  await check(store.list());
  await check(store.rotate({ dryRun: false }));
}

/** What is not stored, and that it leaves nothing. */
export const refusals: Cases = {
  "a claim of another size is refused, and the upload is gone (row 30)": async (bench) => {
    for (const difference of [-1, 1]) {
      const claim = await bench.upload("content");
      const wrong = { ...claim, bytes: claim.bytes + difference };
      assertEquals(await codeOf(bench.store.commit(wrong)), "mismatch");
      await bench.assertHolds();
      assertEquals(await codeOf(bench.store.commit(claim)), "no-upload");
    }
    await bench.assertHolds();
  },

  "a claim of another SHA-256 is refused, and the upload is gone (row 30)": async (bench) => {
    const claim = await bench.upload("content");
    assertEquals(await codeOf(bench.store.commit({ ...claim, sha256 })), "mismatch");
    await bench.assertHolds();
    assertEquals(await codeOf(bench.store.commit(claim)), "no-upload");
  },

  "a commit without an upload is refused (row 30)": async (bench) => {
    const claim = { id: bench.newId(), kind: "tar", bytes: 0, sha256 };
    assertEquals(await codeOf(bench.store.commit(claim)), "no-upload");
    const uploaded = await bench.upload("content");
    assertEquals(await codeOf(bench.store.commit({ ...uploaded, id: claim.id })), "no-upload");
    await bench.store.commit(uploaded);
  },

  "a commit of another run's content under a committed run's id is refused": async (bench) => {
    const claim = await bench.upload("content");
    const { name } = await bench.store.commit(claim);
    assertEquals(await codeOf(bench.store.commit({ ...claim, sha256 })), "no-upload");
    await bench.assertHolds(name);
  },

  "a commit of an upload that is under way is refused": async (bench) => {
    const claim = { id: bench.newId(), kind: "tar", bytes: 7, sha256 };
    await using _upload = await beginUpload(bench, claim);
    assertEquals(await codeOf(bench.store.commit(claim)), "no-upload");
    assertEquals((await bench.store.list()).archives, []);
  },

  "an upload that is dropped and discarded leaves nothing": async (bench) => {
    const claim = { id: bench.newId(), kind: "tar", bytes: 7, sha256 };
    {
      await using _upload = await beginUpload(bench, claim);
    }
    assertEquals((await bench.store.list()).archives, []);
    await bench.store.discard(claim.id);
    await bench.assertHolds();
    assertEquals(await codeOf(bench.store.commit(claim)), "no-upload");
  },

  "discard never fails, whatever there is": async (bench) => {
    await bench.store.discard(bench.newId());
    const claim = await bench.upload("content");
    await bench.store.discard(claim.id);
    await bench.store.discard(claim.id);
    await bench.assertHolds();
    await (await bench.kind.open(bench.folder.at("missing"))).discard(claim.id);
  },

  "where no folder is, all is refused, and nothing is made (row 32)": async (bench) => {
    const missing = bench.folder.at("missing");
    const file = bench.folder.write("file", "");
    for (const path of [missing, file]) {
      await forEachRequest(bench, await bench.kind.open(path), async (answer) => {
        assertEquals(await codeOf(answer), "no-folder");
      });
    }
    assertEquals(namesIn(bench.folder.path).includes("missing"), false);
  },

  "where no policy is, all is refused, and nothing is made (row 32)": async (bench) => {
    const unmounted = bench.folder.at("unmounted");
    Deno.mkdirSync(unmounted);
    await forEachRequest(bench, await bench.kind.open(unmounted), async (answer) => {
      assertEquals(await codeOf(answer), "no-policy");
    });
    assertEquals(namesIn(unmounted), []);
  },

  "where the policy is wrong, all is refused with status 2, and nothing is made": async (bench) => {
    bench.setPolicy({ daily: -1 });
    await forEachRequest(bench, bench.store, async (answer) => {
      const error: PlasmaError = await assertRejects(() => answer, PlasmaError);
      assertEquals([error.code, error.status], ["config", ExitStatus.Usage]);
    });
    assertEquals(namesIn(bench.storage), ["plasma-rotate.json"]);
  },
};
