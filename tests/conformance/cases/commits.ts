import { assertEquals, assertMatch } from "@std/assert";
import { createHash } from "node:crypto";
import { parseArchiveName, stampOf } from "../../../src/rotation/archive_name.ts";
import { labelFor } from "../../../src/rotation/label.ts";
import { archivesIn, namesIn } from "../../support/folders.ts";
import { modeOf } from "../../support/modes.ts";
import { fingerprints } from "../../support/storage.ts";
import type { Cases } from "../bench.ts";

const policy = { counts: { daily: 5, weekly: 3, monthly: 2 }, keepWithinSeconds: 0 };

/** What is stored, how it is listed, and what it looks like on the disk. */
export const commits: Cases = {
  "what is committed is stored byte for byte, and listed": async (bench) => {
    const content = Uint8Array.from({ length: 3_000_001 }, (_, index) => (index * 31) & 0xff);
    const before = Temporal.Now.plainDateTimeISO();
    const claim = { ...await bench.upload(content), kind: "tar.zst" };
    assertEquals(claim.bytes, content.length);
    const { name } = await bench.store.commit(claim);
    const after = Temporal.Now.plainDateTimeISO();

    await bench.assertHolds(name);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const sidecar = Deno.readTextFileSync(`${bench.storage}/${name}.sha256`);
    assertEquals(sidecar, `${sha256}  ${name}\n`);
    const { archives, foreign } = await bench.store.list();
    const [archive] = archives;
    const { kind, bytes, state, label, time } = archive!;
    assertEquals([kind, bytes, state], ["tar.zst", content.length, "complete"]);
    const labels = [before, after].map((time) => labelFor(time, [], policy));
    assertEquals(labels.some((expected) => expected === label), true, label);
    const stamp = stampOf(Temporal.PlainDateTime.from(time));
    const minute = (time: Temporal.PlainDateTime) => `${stampOf(time).slice(0, 12)}00`;
    assertEquals([minute(before), minute(after)].includes(stamp), true, time);
    assertEquals(parseArchiveName(name)?.stamp, stamp);
    assertEquals(foreign, []);
  },

  "an empty archive is an archive": async (bench) => {
    const name = await bench.commit("");
    await bench.assertHolds(name);
    assertEquals(Deno.statSync(`${bench.storage}/${name}`).size, 0);
  },

  "a commit is written down in the journal": async (bench) => {
    const claim = await bench.upload("content");
    const { name } = await bench.store.commit(claim);
    const [line, ...more] = Deno.readTextFileSync(`${bench.storage}/.plasma/journal.jsonl`)
      .trimEnd().split("\n");
    const { time, ...entry } = JSON.parse(line!);
    assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const { id, bytes, sha256 } = claim;
    assertEquals(entry, { event: "stored", archive: name, run: id, bytes, sha256 });
    assertEquals(more, []);
  },

  "files are 0600 and folders 0700": async (bench) => {
    const name = await bench.commit("content");
    const upload = await bench.upload("more");
    const own = `${bench.storage}/.plasma`;
    const { part, received } = bench.files(upload.id);
    const archive = `${bench.storage}/${name}`;
    const files = [
      archive,
      `${archive}.sha256`,
      `${own}/journal.jsonl`,
      `${own}/lock`,
      part,
      received,
    ];
    for (const path of files) assertEquals(modeOf(path), 0o600, path);
    for (const path of [own, bench.incoming]) assertEquals(modeOf(path), 0o700, path);
  },

  "hello tells the size of the newest archive and the room, and changes nothing": async (bench) => {
    const { freeBytes, ...state } = await bench.store.hello();
    assertEquals(state, { newestBytes: undefined, mayRotate: true });
    assertEquals(freeBytes! > 0, true);
    assertEquals(namesIn(bench.storage), ["plasma-rotate.json"]);
    Deno.writeTextFileSync(`${bench.storage}/20200101-0000-daily.tar`, "older");
    Deno.writeTextFileSync(`${bench.storage}/20200102-0000-daily.tar`, "the newest one");
    assertEquals((await bench.store.hello()).newestBytes, 14);
    assertEquals(archivesIn(bench.storage).length, 2);
  },

  "row 60: hello tries what is needed to store something, and leaves nothing": async (bench) => {
    await bench.store.hello({ probe: true });
    assertEquals(namesIn(bench.storage), [".plasma", "plasma-rotate.json"]);
    assertEquals(namesIn(bench.incoming), []);
    const left = ".plasma-probe-0123456789abcdef";
    for (const folder of [bench.storage, bench.incoming]) {
      Deno.writeTextFileSync(`${folder}/${left}`, "");
    }
    assertEquals((await bench.store.list()).foreign, []);
    await bench.store.hello({ probe: true });
    assertEquals(namesIn(bench.storage), [".plasma", "plasma-rotate.json"]);
    assertEquals(namesIn(bench.incoming), []);
  },

  "archives of old agents, without a checksum, are listed as such": async (bench) => {
    Deno.writeTextFileSync(`${bench.storage}/20200101-0000-daily.tar`, "old");
    Deno.writeTextFileSync(`${bench.storage}/notes-daily.tar`, "not an archive");
    Deno.mkdirSync(`${bench.storage}/20200103-0000-daily.tar`);
    Deno.symlinkSync("20200101-0000-daily.tar", `${bench.storage}/20200102-0000-daily.tar`);
    const { archives, foreign } = await bench.store.list();
    assertEquals(archives, [{
      name: "20200101-0000-daily.tar",
      time: "2020-01-01T00:00:00",
      label: "daily",
      kind: "tar",
      bytes: 3,
      state: "no checksum",
    }]);
    assertEquals(foreign, [
      "20200102-0000-daily.tar",
      "20200103-0000-daily.tar",
      "notes-daily.tar",
    ]);
  },

  "archives that are there stay as they are when others are committed": async (bench) => {
    Deno.writeTextFileSync(`${bench.storage}/20200101-0000-monthly.tar`, "old");
    const first = await bench.commit("first");
    const before = await fingerprints(bench.storage);
    await bench.commit("second");
    await bench.commit("third");
    const after = await fingerprints(bench.storage);
    assertEquals(after.filter((archive) => before.includes(archive)), before);
    assertEquals(after.length, 4);
    assertEquals(Deno.readTextFileSync(`${bench.storage}/${first}`), "first");
  },

  "to commit twice gives the same archive (row 30)": async (bench) => {
    const claim = await bench.upload("content");
    const { name } = await bench.store.commit(claim);
    assertEquals(namesIn(bench.incoming), []);
    assertEquals(await bench.store.commit(claim), { name });
    const other = await bench.commit("of another run");
    assertEquals(await (await bench.open()).commit(claim), { name });
    await bench.assertHolds(name, other);
  },

  "to commit twice gives the same archive also when the last line of the journal is torn": async (
    bench,
  ) => {
    const journal = `${bench.storage}/.plasma/journal.jsonl`;
    const claim = await bench.upload("content");
    Deno.writeTextFileSync(journal, `{"time":"2026-01-01T00:00:00Z","eve`);
    const { name } = await bench.store.commit(claim);
    assertEquals(await bench.store.commit(claim), { name });
    await bench.assertHolds(name);
  },

  "discard takes nothing away that was committed": async (bench) => {
    const claim = await bench.upload("content");
    const { name } = await bench.store.commit(claim);
    await bench.store.discard(claim.id);
    await bench.assertHolds(name);
    assertEquals(await bench.store.commit(claim), { name });
  },
};
