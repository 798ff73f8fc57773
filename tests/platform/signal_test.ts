import { assertEquals, assertMatch } from "@std/assert";
import { fingerprints } from "../support/storage.ts";
import { btrfsTest } from "../support/site.ts";
import { atEachStage, makeSource, stages } from "./stages.ts";

btrfsTest("SIGTERM at each stage leaves nothing behind (row 22)", async (site) => {
  await makeSource(site);
  await site.backUpWell(["btrfs/data"]);
  await atEachStage(async (stop, stage) => {
    const before = await fingerprints(site.storage);
    const { run, open } = await stop(site);
    run.child.kill("SIGTERM");
    open();
    const { code, lastLine } = await run.output;
    assertEquals(code, 143, lastLine);
    assertMatch(lastLine, /ended by SIGTERM/);
    await site.assertNothingLeft();
    const after = await fingerprints(site.storage);
    const isStored = /executeAfter |delete/.test(`${stage} `);
    assertEquals(after.slice(0, before.length), before);
    assertEquals(after.length, before.length + (isStored ? 1 : 0));
  });
  await site.assertArchivesAreWhole();
});

btrfsTest("Ctrl-C, which all processes get, leaves nothing behind (row 22)", async (site) => {
  await makeSource(site);
  await atEachStage(async (stop, stage) => {
    const { run, open } = await stop(site, ["setsid"]);
    Deno.kill(-run.child.pid, "SIGINT");
    open();
    const { code, stderr } = await run.output;
    assertEquals(code, 130, stderr);
    // A process that deletes a snapshot may be ended too; then that is said.
    if (stage.includes("delete")) {
      assertMatch(stderr, /btrfs subvolume delete -i/);
      Deno.removeSync(site.at("bin"), { recursive: true });
      await site.backUpWell(["btrfs/data"]);
    }
    await site.assertNothingLeft();
  });
  await site.assertArchivesAreWhole();
});

for (const [signal, status] of [["SIGHUP", 129], ["SIGINT", 130]] as const) {
  btrfsTest(`row 22: ${signal} in executeAfterSnapshot leaves nothing behind`, async (site) => {
    await makeSource(site);
    const { run, open } = await stages["the hook executeAfterSnapshot runs"]!(site);
    run.child.kill(signal);
    run.child.kill(signal);
    const { code, lastLine } = await run.output;
    open();
    assertEquals(code, status, lastLine);
    await site.assertNothingLeft();
  });
}

btrfsTest("SIGHUP, twice, at each stage leaves nothing behind (row 22)", async (site) => {
  await makeSource(site);
  await atEachStage(async (stop) => {
    const { run, open } = await stop(site);
    for (const _ of [1, 2]) run.child.kill("SIGHUP");
    open();
    const { code, lastLine } = await run.output;
    assertEquals(code, 129, lastLine);
    await site.assertNothingLeft();
  });
  await site.assertArchivesAreWhole();
});
