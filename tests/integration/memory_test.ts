import { assertEquals } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { bytesReadBy, measuringMemory, memoryOf } from "../support/processes.ts";
import { writeLargeData } from "../support/runs.ts";
import { until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { assertAllVerify } from "../support/storage.ts";
import { UploadUnderWay } from "../support/upload.ts";

const bytes = 256 << 20;
/** What a program may need, whatever the size of the archive. */
const mostKilobytes = 120_000;

for (const role of ["plasma serve", "ssh master"] as const) {
  Deno.test(`while ${role} is stopped memory stays flat, and then the run goes on (row 24)`, async () => {
    await using upload = await UploadUnderWay.start("ssh", { flags: [], bytes });
    const receiver = await upload.processOf(role);
    Deno.kill(receiver, "SIGSTOP");
    const tar = await upload.processOf("tar");
    let read = -1;
    await until("tar has stopped reading", async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const before = read;
      read = bytesReadBy(tar);
      return read === before;
    });
    const kilobytes = memoryOf(upload.pid, "VmHWM");
    assertEquals(read < bytes, true, "tar is held up");
    assertEquals(kilobytes > 10_000 && kilobytes < mostKilobytes, true, `${kilobytes} KiB`);
    Deno.kill(receiver, "SIGCONT");
    const { code, stderr } = await upload.agent.output;
    assertEquals(code, 0, stderr);
    assertEquals(archivesIn(upload.storage).length, 2);
    await assertAllVerify(upload.storage);
  });
}

testThatNeeds(["program python3"], "memory does not grow with the archive", async () => {
  using folder = new TemporaryFolder();
  const data = writeLargeData(folder, bytes);
  const storage = folder.storage("storage");
  const { code, stderr } = await plasma(["backup", "--to", storage, data], {
    through: measuringMemory,
  });
  assertEquals(code, 0, stderr);
  const kilobytes = Number(stderr.trimEnd().split("\n").at(-1));
  assertEquals(kilobytes > 10_000 && kilobytes < mostKilobytes, true, `${kilobytes} KiB`);
});
