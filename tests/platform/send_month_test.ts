import { assert, assertEquals, assertMatch } from "@std/assert";
import { sh } from "../support/sh.ts";
import type { Site } from "../support/site.ts";
import { keptOf, noise, sendOverSshTest, sendTest, uuidOf } from "./send_night.ts";

/** What happens on one day; the same things each month. */
async function day(site: Site, number: number): Promise<void> {
  const at = (name: string) => site.at(`btrfs/data/${name}`);
  site.write(`btrfs/data/day${number % 7}/new${number}`, noise(1 + number * 997));
  site.write("btrfs/data/overwritten", noise(30_000 + number));
  switch (number % 10) {
    case 0:
      Deno.removeSync(at(`day${(number + 2) % 7}`), { recursive: true });
      break;
    case 1:
      await sh("cp", "--reflink=always", at("large"), at(`reflink${number}`));
      break;
    case 2:
      Deno.linkSync(at("overwritten"), at(`link${number}`));
      break;
    case 3:
      await sh("setfattr", "-n", "user.day", "-v", `${number}`, at("large"));
      await sh("setfattr", "-n", "user.old", "-v", "x", at("overwritten"));
      break;
    case 4:
      Deno.renameSync(at(`day${number % 7}`), at(`renamed${number}`));
      await site.subvolume(`btrfs/data/nested${number}`);
      site.write(`btrfs/data/nested${number}/file`, noise(5000));
      break;
    case 5:
      site.write(`btrfs/data/nested${number - 1}/more`, noise(2000));
      Deno.removeSync(at(`link${number - 3}`));
      await sh("ln", "-s", "large", at(`symlink${number}`));
      break;
    case 6:
      await sh("mkfifo", at(`fifo${number}`));
      Deno.chmodSync(at("large"), number % 20 === 6 ? 0o4755 : 0o600);
      await sh("chown", "1234:5678", at(`fifo${number}`));
      await sh("setfattr", "-x", "user.day", at("large"));
      break;
    case 7:
      await sh("btrfs", "-q", "subvolume", "delete", at(`nested${number - 3}`));
      // A folder, a file and another file change places.
      Deno.renameSync(at(`fifo${number - 1}`), at("x"));
      Deno.renameSync(at("overwritten"), at(`fifo${number - 1}`));
      Deno.renameSync(at("x"), at("overwritten.fifo"));
      Deno.removeSync(at("overwritten.fifo"));
      break;
    case 8:
      Deno.truncateSync(at("large"), 900_000 - number * 1000);
      await sh("fallocate", "-p", "-o", "8192", "-l", "65536", at("large"));
      break;
    case 9:
      await sh("truncate", "-s", "3M", at(`sparse${number}`));
      site.write(`btrfs/data/${"ü".repeat(100)} \n\\%2F/day${number}`);
      break;
  }
}

sendOverSshTest(
  "a month of nights: each archive is the snapshot of its night",
  async (site, nights) => {
    site.write("btrfs/data/large", noise(1_000_000));
    const first = await nights.runWell();
    assertMatch(first.stderr, /data: sending all of it: no common snapshot/);
    assert(nights.bytes > 1_000_000);
    for (let number = 1; number <= 30; number++) {
      const before = await keptOf(site);
      assertEquals(before.length, 1);
      const [parent] = await uuidOf(before[0]!);
      await day(site, number);
      const { stderr } = await nights.runWell();
      assert(!/btrfs\/data: sending all of it/.test(stderr), `night ${number}: ${stderr}`);
      const size = Number(
        /^(\d+)/.exec(
          await sh("du", "-sb", "--exclude=.plasma", site.at("btrfs/data")),
        )![1],
      );
      // btrfs send clones of a file with holes only a part.
      const limit = number % 10 === 1 ? 1_000_000 : 200_000;
      assert(nights.bytes < Math.min(size, limit), `night ${number}: ${nights.bytes} of ${size}`);
      // The stored subvolume was made of the stored twin of the parent.
      const text = await sh("btrfs", "subvolume", "show", nights.stored());
      const older = nights.stored("btrfs/data", `${nights.storage}/${nights.archives.at(-2)}`);
      const [uuid, received] = await uuidOf(older);
      assertMatch(text, new RegExp(`Parent UUID:\\s+${uuid}`));
      assertEquals(received, parent);
    }
    assertEquals(nights.archives.length, 31);
  },
);

sendTest("a night without changes sends next to nothing", async (site, nights) => {
  site.write("btrfs/data/large", noise(3_000_000));
  await nights.runWell();
  await nights.runWell();
  assert(nights.bytes < 2000, `${nights.bytes}`);
  assertEquals((await keptOf(site)).length, 1);
});

sendTest("a subvolume that is read-only is stored once, and copied", async (site, nights) => {
  await site.subvolume("btrfs/data/frozen");
  site.write("btrfs/data/frozen/large", noise(500_000));
  await site.makeReadOnly("btrfs/data/frozen");
  await nights.runWell();
  assert(nights.bytes > 500_000);
  for (let night = 0; night < 2; night++) {
    const { stderr } = await nights.runWell();
    assert(nights.bytes < 10_000, stderr);
  }
  assertEquals((await keptOf(site, "btrfs/data/frozen")).length, 1);
});

sendTest("data moved between subvolumes are cloned, not sent", async (site, nights) => {
  await site.subvolume("btrfs/data/other");
  site.write("btrfs/data/large", noise(2_000_000));
  await nights.runWell();
  await sh(
    "cp",
    "--reflink=always",
    site.at("btrfs/data/large"),
    site.at("btrfs/data/other/large"),
  );
  await nights.runWell();
  assert(nights.bytes < 100_000, `${nights.bytes}`);
});
