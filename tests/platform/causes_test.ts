import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh, tryRun } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { testThatNeeds } from "../support/skip.ts";
import { TemporaryFolder } from "../support/folders.ts";

/** Whatever cannot be made, its real cause is in the message. */

/** How a folder in the site comes to a state in which nothing can be made in it. */
const causes: Readonly<Record<string, { words: RegExp; spoil(site: Site): Promise<string> }>> = {
  "is read-only": {
    words: /the filesystem is read-only|Read-only file system/,
    async spoil(site) {
      const path = await prepare(site, await site.tmpfs("place"));
      await sh("mount", "-o", "remount,ro", path);
      return path;
    },
  },
  "is immutable": {
    words: /operation not permitted/i,
    async spoil(site) {
      const path = await prepare(site, await site.subvolume("btrfs/place"));
      for (const one of [path, `${path}/storage`, `${path}/storage/.plasma`]) {
        await tryRun("chattr", "+i", one);
      }
      return path;
    },
  },
  "has no inodes left": {
    words: /no space left/i,
    async spoil(site) {
      const path = await site.mount("place", "-t", "tmpfs", "-o", "nr_inodes=40", "plasma-test");
      await prepare(site, path);
      for (let index = 0;; index++) {
        if ((await tryRun("touch", `${path}/filler${index}`)).code !== 0) return path;
      }
    },
  },
  "has no quota left": {
    words: /the disk quota is used up|Disk quota exceeded/i,
    async spoil(site) {
      await sh("btrfs", "quota", "enable", site.at("btrfs"));
      const path = await prepare(site, await site.subvolume("btrfs/place"));
      await sh("btrfs", "qgroup", "limit", "1M", path);
      await tryRun("dd", "if=/dev/urandom", `of=${path}/filler`, "bs=64k", "count=64");
      await sh("sync", "-f", path);
      return path;
    },
  },
};

/** A storage folder in which there was a backup. */
async function prepare(site: Site, path: string): Promise<string> {
  const storage = `${path}/storage`;
  site.write("source/file", "x".repeat(100_000));
  assertEquals((await plasma(["init", storage])).code, 0);
  const { code, stderr } = await plasma(["backup", "--to", storage, site.at("source")]);
  assertEquals(code, 0, stderr);
  return path;
}

/** Commands that make something in a folder. */
const makers: Readonly<Record<string, (site: Site, place: string) => string[]>> = {
  "init makes a storage folder": (_, place) => ["init", `${place}/new`],
  "init writes a config": (_, place) => ["init", "--config", `${place}/config.json`],
  "backup makes a storage folder": (site, place) => [
    "backup",
    "--to",
    `${place}/new`,
    site.at("source"),
  ],
  "backup stores": (site, place) => ["backup", "--to", `${place}/storage`, site.at("source")],
  "backup makes a tempfile": (site, place) => [
    "backup",
    "--to",
    site.storage,
    "--tempfile",
    `${place}/staged`,
    site.at("source"),
  ],
  "restore makes a target": (_, place) => [
    "restore",
    "latest",
    "--from",
    `${place}/storage`,
    "--target",
    `${place}/target`,
  ],
  "status writes metrics": (_, place) => ["status", "--prometheus", `${place}/m.prom`, place],
};

for (const [cause, { words, spoil }] of Object.entries(causes)) {
  btrfsTest(
    `row 58: that a folder ${cause} is said, whatever is to be made there`,
    async (site) => {
      const place = await spoil(site);
      const stored = archivesIn(`${place}/storage`);
      try {
        for (const [what, args] of Object.entries(makers)) {
          const { code, lastLine, stderr } = await plasma(args(site, place));
          assertEquals([1, 2, 3].includes(code), true, `${what}: ${code} ${stderr}`);
          assertMatch(stderr, words, what);
          assertEquals(/does not exist|internal error/.test(lastLine), false, `${what}: ${stderr}`);
        }
        assertEquals(archivesIn(`${place}/storage`), stored);
      } finally {
        await tryRun("chattr", "-R", "-i", place);
      }
    },
  );
}

testThatNeeds(["root"], "row 58: a runtime folder that cannot be made has its cause", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const script = 'mount -t tmpfs -o "$0" none /run && exec "$@"';
  for (const [options, words] of [["ro", /read-only/], ["nr_inodes=1", /no space left/]] as const) {
    const { code, lastLine } = await plasma(["backup", "--to", storage, folder.at("data")], {
      through: ["unshare", "--mount", "sh", "-c", script, `mode=755,size=1m,${options}`],
    });
    assertEquals(code, 1, lastLine);
    assertMatch(lastLine, words);
    assertMatch(lastLine, /\/run\/plasma/);
  }
});
