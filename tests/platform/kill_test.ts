import { assertEquals } from "@std/assert";
import { processes } from "../support/processes.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { until } from "../support/sh.ts";
import { fingerprints } from "../support/storage.ts";
import { atEachStage, makeSource, stages } from "./stages.ts";

/** What a killed run has started goes on for a moment, and ends. */
async function untilNoProcess(site: Site): Promise<void> {
  await until("all processes of the killed run have ended", async () => {
    const all = await processes();
    return !all.some(({ pid, command }) => pid !== Deno.pid && command.includes(site.path));
  });
}

btrfsTest("rows 17, 23: after kill -9 at each stage the next run cleans up", async (site) => {
  await makeSource(site);
  await site.backUpWell(["btrfs/data"]);
  await atEachStage(async (stop) => {
    const before = await fingerprints(site.storage);
    const { run, open } = await stop(site);
    run.child.kill("SIGKILL");
    await run.child.status;
    open();
    await untilNoProcess(site);
    site.assertNoMountLeft();
    await site.assertArchivesAreWhole();
    assertEquals((await fingerprints(site.storage)).slice(0, before.length), before);
    await site.backUpWell(["btrfs/data"]);
  });
});

btrfsTest("row 23: after a kill -9 at any moment the next run cleans up", async (site) => {
  await makeSource(site);
  const start = Date.now();
  await site.backUpWell(["btrfs/data"]);
  const whole = Date.now() - start;
  const moments = 24;
  for (let moment = 0; moment < moments; moment++) {
    const { child, output } = site.start(["btrfs/data"]);
    const kill = () => child.kill("SIGKILL");
    const timer = setTimeout(kill, whole * moment / moments);
    await output;
    clearTimeout(timer);
  }
  await untilNoProcess(site);
  await site.assertArchivesAreWhole();
  await site.backUpWell(["btrfs/data"]);
  await site.assertArchivesAreWhole();
});

btrfsTest(
  "a run that is stopped for long and goes on is not taken for a dead one",
  async (site) => {
    await makeSource(site);
    const { run, open } = await stages["tar is about to begin"]!(site);
    const during = await site.snapshots();
    const other = await site.backUp(["btrfs/data"], { remoteFolder: site.addStorage("other") }, {
      environment: { PATH: Deno.env.get("PATH")! },
    });
    assertEquals(other.code, 0, other.stderr);
    assertEquals(await site.snapshots(), during);
    assertEquals(during.length, 3);
    const locked = await site.backUp(["btrfs/data"]);
    assertEquals(locked.code, 4, locked.stderr);
    assertEquals(await site.snapshots(), during);
    open();
    const { code, stderr } = await run.output;
    assertEquals(code, 0, stderr);
    await site.assertNothingLeft();
  },
);
