import { assert, assertEquals, assertMatch } from "@std/assert";
import { flip } from "../support/archives.ts";
import { archivesIn, namesIn } from "../support/folders.ts";
import { modeOf } from "../support/modes.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import type { Site } from "../support/site.ts";
import { keptOf, Nights, noise, sendTest, slowStreams, untilMidStream } from "./send_night.ts";

/** The archives that a storage on the second btrfs has after a power cut now; each must verify. */
async function cutPower(site: Site, nights: Nights): Promise<string[]> {
  const image = site.at("cut");
  await sh("cp", "--sparse=always", site.at("image1"), image);
  const path = await site.mount("after", "-o", "loop", image);
  assert(Deno.statSync(path).dev !== Deno.statSync(site.at("store")).dev, "it is the copy");
  const storage = `${path}/backups`;
  const archives = archivesIn(storage);
  if (archives.length > 0) {
    const { code, stdout, stderr } = await plasma(["verify", "--all", "--deep", "--from", storage]);
    assertEquals(code, 0, stdout + stderr);
  }
  for (const name of archives) {
    for (const record of nights.records(`${storage}/${name}`)) {
      assert(Deno.statSync(`${storage}/${name}/${record.name}/large`).size > 0);
    }
  }
  await sh("umount", path);
  Deno.removeSync(image);
  return archives;
}

sendTest(
  "row 33: what was acknowledged before a power cut is there and whole after it",
  async (site, nights) => {
    for (let night = 0; night < 2; night++) {
      site.write("btrfs/data/large", noise(1_000_000));
      await nights.runWell();
      assertEquals(await cutPower(site, nights), nights.archives);
    }
    const acknowledged = nights.archives;
    site.write("btrfs/data/large", noise(4_000_000));
    const run = nights.start({ bandwidthLimit: "3M" });
    await untilMidStream(nights);
    assertEquals(await cutPower(site, nights), acknowledged);
    assertEquals((await run.output).code, 0);
    assertEquals(await cutPower(site, nights), nights.archives);
  },
);

for (
  const [signal, status, way] of [
    ["SIGTERM", 143, "through the pump"],
    ["SIGTERM", 143, "as it is received"],
    ["SIGHUP", 129, "as it is received"],
    ["SIGINT", 130, "as it is received"],
  ] as const
) {
  sendTest(
    `row 22: ${signal}, once or twice, in the middle of a stream, ${way}, leaves nothing`,
    async (site, nights) => {
      await nights.runWell();
      const more = slowStreams[way](site);
      const [archives, kept] = [nights.archives, keptOf(site)];
      for (const times of [1, 2]) {
        site.write("btrfs/data/large", noise(4_000_000));
        const run = nights.start(more);
        await untilMidStream(nights);
        for (let time = 0; time < times; time++) run.child.kill(signal);
        const { code, lastLine } = await run.output;
        assertEquals(code, status, lastLine);
        assertEquals([nights.archives, keptOf(site)], [archives, kept]);
        assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
        assertEquals((await site.snapshots()).length, 1);
      }
      await nights.runWell();
    },
  );
}

sendTest(
  "row 31: a storage without space for a stream fails the run and keeps what is there",
  async (site) => {
    await site.addBtrfs("small", { megabytes: 114, flags: ["--mixed"] });
    const nights = new Nights(site, "small/backups");
    await nights.runWell();
    const [archives, kept] = [nights.archives, keptOf(site)];
    site.write("btrfs/data/large", noise(120_000_000));
    const { code, stderr, lastLine } = await nights.run();
    assertEquals(code, 1, stderr);
    assertMatch(lastLine, /no space left/i);
    assertEquals([nights.archives, keptOf(site)], [archives, kept]);
    assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
    assertEquals((await site.snapshots()).filter((line) => !line.includes(".sent")), []);
    Deno.removeSync(site.at("btrfs/data/large"));
    // btrfs gives the space of a deleted subvolume back after a while.
    await sh("btrfs", "filesystem", "sync", site.at("small"));
    await sh("btrfs", "subvolume", "sync", site.at("small"));
    await nights.runWell();
  },
);

for (const umask of ["000", "777"]) {
  sendTest(`row 10: an archive of subvolumes is private with umask ${umask}`, async (_, nights) => {
    const through = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
    const { code, stderr } = await nights.run({ through });
    assertEquals(code, 0, stderr);
    const paths = [
      nights.newest,
      `${nights.storage}/.plasma`,
      `${nights.storage}/.plasma/incoming`,
    ];
    for (const path of paths) assertEquals(modeOf(path), 0o700, path);
    assertEquals(modeOf(`${nights.newest}/manifest.json`), 0o600);
  });
}

sendTest("row 43: a byte that rots on the disk of the storage is found", async (site, nights) => {
  const mark = crypto.randomUUID();
  site.write("btrfs/data/large", `${mark}${"x".repeat(100_000)}`);
  await nights.runWell();
  const good = nights.archives;
  site.write("btrfs/data/large", "another one".repeat(10_000));
  await nights.runWell();

  await sh("umount", site.at("store"));
  const found = await sh(
    "grep",
    "--byte-offset",
    "--only-matching",
    "--text",
    mark,
    site.at("image1"),
  );
  const offset = Number(found.split(":")[0]);
  assert(offset > 0 && found.split("\n").length === 2, found);
  flip(site.at("image1"), offset);
  await site.mount("store", "-o", "loop", site.at("image1"));

  const verify = await plasma(["verify", "--all", "--deep", "--json", "--from", nights.storage]);
  assertEquals(verify.code, 1, verify.stderr);
  const verdicts: { name: string; state: string }[] = JSON.parse(verify.stdout);
  const damaged = verdicts.filter(({ state }) => state !== "ok").map(({ name }) => name);
  assertEquals([verdicts.length, damaged], [2, good]);
});
