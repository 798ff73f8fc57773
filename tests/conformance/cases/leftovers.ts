import { assertEquals } from "@std/assert";
import { newRunId } from "../../../src/system/run_id.ts";
import { isLocked } from "../../../src/system/lock.ts";
import { namesIn } from "../../support/folders.ts";
import { until } from "../../support/sh.ts";
import { ageUploads } from "../../support/storage.ts";
import type { Bench, Cases } from "../bench.ts";

/** Put something into `.plasma/incoming`, as old as so many days. */
function leave(bench: Bench, name: string, days = 0, text = "left"): string {
  Deno.mkdirSync(bench.incoming, { recursive: true, mode: 0o700 });
  const path = `${bench.incoming}/${name}`;
  Deno.writeTextFileSync(path, text);
  const time = Date.now() / 1000 - days * 86_400;
  Deno.utimeSync(path, time, time);
  return name;
}

const others = () => newRunId({ machine: "ffffffff", target: "00000000" });

/** What dead runs have left, and who removes it. */
export const leftovers: Cases = {
  "the next upload removes what dead runs of the same owner have left (row 23)": async (bench) => {
    for (const suffix of ["part", "sha256"]) leave(bench, `${bench.newId()}.${suffix}`);
    const id = bench.newId();
    for (const suffix of ["part", "sha256"]) leave(bench, `${id}.${suffix}`);
    await bench.assertHoldsAfterCommit();
  },

  "the next upload removes an upload that was complete but never committed": async (bench) => {
    await bench.upload("forgotten");
    await ageUploads(bench.storage);
    assertEquals(namesIn(bench.incoming).length, 2);
    await bench.assertHoldsAfterCommit();
  },

  "row 87: a complete upload is left to be committed, whoever else has the same identity": async (
    bench,
  ) => {
    const claim = await bench.upload("of the other machine");
    const other = await bench.commit("of this one");
    const { name } = await bench.store.commit(claim);
    await bench.assertHolds(...[other, name].sort());
  },

  "the next upload removes an upload whose run was dropped": async (bench) => {
    const id = bench.newId();
    {
      await using upload = await bench.store.upload(id);
      upload.onOpen();
      await until("the upload has begun", () => namesIn(bench.incoming).length > 0);
    }
    const { part } = bench.files(id);
    await until("nobody writes the upload any more", async () => !await isLocked(part));
    await ageUploads(bench.storage);
    await bench.assertHoldsAfterCommit();
  },

  "row 51: what others have left goes at once if it is torn, after a grace if it is complete":
    async (
      bench,
    ) => {
      for (const suffix of ["part", "received", "sha256"]) leave(bench, `${others()}.${suffix}`);
      const record = JSON.stringify({ bytes: 4, sha256: "", inode: "" });
      const completed = (days: number) => {
        const pair = others();
        const names = [
          leave(bench, `${pair}.part`, 30),
          leave(bench, `${pair}.received`, days, record),
        ];
        return names;
      };
      const young = completed(9 / 24 / 60);
      completed(11 / 24 / 60);
      await bench.commit("content");
      assertEquals(namesIn(bench.incoming), young.sort());
    },

  "what is not named as plasma names uploads stays, however old it is": async (bench) => {
    const id = bench.newId();
    const foreign = [
      "notes",
      "x.part",
      `${id}`,
      `${id}.partial`,
      `${id}.part.bak`,
      `x${id}.part`,
      ".part",
    ].map((name) => leave(bench, name, 1000));
    Deno.mkdirSync(`${bench.incoming}/folder`);
    await bench.commit("content");
    assertEquals(namesIn(bench.incoming), [...foreign, "folder"].sort());
  },

  "an upload that a process still writes is not removed": async (bench) => {
    const id = bench.newId();
    const { part } = bench.files(id);
    await using _upload = await bench.store.upload(id);
    await until("the upload is being written", () => isLocked(part));
    const name = await bench.commit("content", { store: await bench.open() });
    assertEquals(namesIn(bench.incoming), [`${id}.part`]);
    assertEquals((await bench.store.list()).archives.map(({ name }) => name), [name]);
  },
};
