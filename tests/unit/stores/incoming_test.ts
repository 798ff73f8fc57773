import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import fs from "node:fs";
import { PlasmaError } from "../../../src/errors.ts";
import { StorageFolder } from "../../../src/stores/folder.ts";
import { incomingFiles, IncomingUpload, readReceived } from "../../../src/stores/incoming.ts";
import { isLocked } from "../../../src/system/lock.ts";
import { newRunId } from "../../../src/system/run_id.ts";
import { namesIn, TemporaryFolder } from "../../support/folders.ts";
import { modeOf, withUmask } from "../../support/modes.ts";

const newId = () => newRunId({ machine: "0123abcd", target: "89abcdef" });
const received = { bytes: 7, sha256: "0".repeat(64) };

Deno.test("an upload that is let go before it is complete is removed", async () => {
  using folder = new TemporaryFolder();
  const storage = await StorageFolder.open(folder.storage("storage"));
  {
    using upload = await IncomingUpload.begin(storage, newId());
    fs.writeSync(upload.file, "content");
    assertEquals([await isLocked(upload.path), modeOf(upload.path)], [true, 0o600]);
  }
  assertEquals(namesIn(storage.incoming), []);
});

Deno.test("an upload that is complete stays, with a record of it", async () => {
  using folder = new TemporaryFolder();
  const storage = await StorageFolder.open(folder.storage("storage"));
  const id = newId();
  {
    using upload = await IncomingUpload.begin(storage, id);
    fs.writeSync(upload.file, "content");
    assertEquals(readReceived(storage, id), undefined);
    upload.complete(received);
  }
  const inode = String(Deno.statSync(incomingFiles(storage, id).part).ino);
  assertEquals(readReceived(storage, id), { ...received, inode });
  assertEquals(namesIn(storage.incoming), [`${id}.part`, `${id}.received`]);
  assertEquals(await isLocked(incomingFiles(storage, id).part), false);
});

Deno.test("an upload that has not the size that was counted is not complete", async () => {
  using folder = new TemporaryFolder();
  const storage = await StorageFolder.open(folder.storage("storage"));
  const id = newId();
  using upload = await IncomingUpload.begin(storage, id);
  fs.writeSync(upload.file, "conten");
  assertThrows(() => upload.complete(received), PlasmaError, "has 6 bytes, not 7");
  assertEquals(readReceived(storage, id), undefined);
});

Deno.test("a run has one upload at a time", async () => {
  using folder = new TemporaryFolder();
  const storage = await StorageFolder.open(folder.storage("storage"));
  const id = newId();
  using upload = await IncomingUpload.begin(storage, id);
  await assertRejects(
    () => IncomingUpload.begin(storage, id),
    PlasmaError,
    "an upload of this run already",
  );
  assertEquals(await isLocked(upload.path), true);
});

Deno.test("uploads are private whatever the umask is", async () => {
  for (const umask of [0o000, 0o777]) {
    using folder = new TemporaryFolder();
    const storage = await StorageFolder.open(folder.storage("storage"));
    using upload = await withUmask(umask, () => IncomingUpload.begin(storage, newId()));
    assertEquals(modeOf(upload.path), 0o600);
    assertEquals(modeOf(storage.incoming), 0o700);
  }
});
