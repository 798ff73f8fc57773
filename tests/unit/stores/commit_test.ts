import { assertEquals } from "@std/assert";
import fs from "node:fs";
import { createHash } from "node:crypto";
import { commitUpload } from "../../../src/stores/commit.ts";
import { StorageFolder } from "../../../src/stores/folder.ts";
import { IncomingUpload } from "../../../src/stores/incoming.ts";
import { newRunId } from "../../../src/system/run_id.ts";
import { archivesIn, TemporaryFolder } from "../../support/folders.ts";

/** Commit something, as the clock shows the given times one after the other. */
async function commitAt(path: string, ...times: string[]): Promise<string> {
  const folder = await StorageFolder.open(path);
  const id = newRunId({ machine: "0123abcd", target: "89abcdef" });
  const sha256 = createHash("sha256").update(times[0]!).digest("hex");
  const bytes = times[0]!.length;
  {
    using upload = await IncomingUpload.begin(folder, id);
    fs.writeSync(upload.file, times[0]!);
    upload.complete({ bytes, sha256 });
  }
  const left = [...times];
  const clock = () => Temporal.PlainDateTime.from(left.length > 1 ? left.shift()! : left[0]!);
  return (await commitUpload(folder, { id, kind: "tar", bytes, sha256 }, clock)).name;
}

Deno.test("a commit gives the name by the clock of the storage host (row 35)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  assertEquals(await commitAt(storage, "2024-02-29T23:59:59"), "20240229-2359-daily.tar");
  assertEquals(await commitAt(storage, "2024-03-01T00:00:00"), "20240301-0000-monthly.tar");
  assertEquals(await commitAt(storage, "2026-12-31T00:07:00"), "20261231-0007-monthly.tar");
  assertEquals(await commitAt(storage, "2027-01-04T00:00:00"), "20270104-0000-monthly.tar");
  assertEquals(await commitAt(storage, "2027-01-11T00:00:00"), "20270111-0000-weekly.tar");
  assertEquals(await commitAt(storage, "2027-01-11T12:00:00"), "20270111-1200-daily.tar");
});

Deno.test("a commit gives a name with seconds where the minute is taken", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  assertEquals(await commitAt(storage, "2026-11-24T00:00:05"), "20261124-0000-daily.tar");
  assertEquals(await commitAt(storage, "2026-11-24T00:00:05"), "20261124-000005-daily.tar");
  assertEquals(await commitAt(storage, "2026-11-24T00:00:59"), "20261124-000059-daily.tar");
});

Deno.test("a commit waits for another second where even that is taken", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  await commitAt(storage, "2026-11-24T00:00:05");
  await commitAt(storage, "2026-11-24T00:00:05");
  const name = await commitAt(storage, "2026-11-24T00:00:05", "2026-11-24T00:00:06");
  assertEquals(name, "20261124-000006-daily.tar");
});

Deno.test("commits in an hour that the clock shows twice have distinct names (row 35)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const times = ["2026-10-25T02:00:00", "2026-10-25T02:30:00", "2026-10-25T02:00:30"];
  const names: string[] = [];
  for (const time of times) names.push(await commitAt(storage, time));
  assertEquals(names, [
    "20261025-0200-daily.tar",
    "20261025-0230-daily.tar",
    "20261025-020030-daily.tar",
  ]);
  assertEquals(archivesIn(storage).length, 3);
});

Deno.test("a commit does not come to the label of an archive that has a wrong date", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("storage/20300101-0000-monthly.tar", "future");
  folder.write("storage/20261015-0000-daily.tar", "past");
  folder.write("storage/20261301-0000-monthly.tar", "foreign");
  assertEquals(await commitAt(storage, "2026-11-03T00:00:00"), "20261103-0000-monthly.tar");
});
