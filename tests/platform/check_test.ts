import { assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../src/backup/checkup.ts";
import { archivesIn, namesIn } from "../support/folders.ts";
import { plasma, type PlasmaOptions } from "../support/plasma.ts";
import { sh, tryRun } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { Sshd } from "../support/sshd.ts";
import { asUser } from "../support/user.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { testThatNeeds } from "../support/skip.ts";

/** What `plasma check` finds, and what `plasma backup` does then. */
async function compare(site: Site, folders: string[], more: object, options: PlasmaOptions = {}) {
  const hook = site.at("hook-ran");
  const config = site.config(folders, { strategy: "tar", ...more, executeBefore: [`: >${hook}`] });
  const check = await plasma(["check", "--config", config, "--json"], options);
  assertEquals(await tryRun("test", "-e", hook).then(({ code }) => code), 1, "check runs no hook");
  const backup = await plasma(["backup", "--config", config, "--json"], options);
  const didHookRun = namesIn(site.path).includes("hook-ran");
  if (didHookRun) Deno.removeSync(hook);
  const found: Finding[] = check.stdout === "" ? [] : JSON.parse(check.stdout);
  const failed = found.filter(({ state }) => state === "failed").map(({ detail }) => detail);
  const warned = found.filter(({ state }) => state === "warning").map(({ detail }) => detail);
  return { check, backup, didHookRun, failed, warned, found };
}

/** Ways in which a storage folder is spoilt, and what is said of it. */
const spoilers: Readonly<Record<string, readonly [RegExp, (site: Site) => Promise<string>]>> = {
  "is on a filesystem that is read-only": [/read-only/, async (site) => {
    const path = await site.tmpfs("store");
    const storage = site.addStorage("store/folder");
    await sh("mount", "-o", "remount,ro", path);
    return storage;
  }],
  "is immutable": [/operation not permitted/i, async (site) => {
    const storage = site.addStorage("btrfs/folder");
    assertEquals((await plasma(["backup", "--to", storage, "--strategy", "noop"])).code, 0);
    await sh("chattr", "+i", storage);
    return storage;
  }],
  "is full": [/no space left/i, async (site) => {
    const path = await site.mount("store", "-t", "tmpfs", "-o", "size=64k", "plasma-test");
    const storage = site.addStorage("store/folder");
    await tryRun("dd", "if=/dev/zero", `of=${path}/filler`, "bs=4k");
    return storage;
  }],
};

for (const [what, [words, spoil]] of Object.entries(spoilers)) {
  for (const way of ["local", "ssh"]) {
    btrfsTest(`row 60: check and hello say that a storage ${what} (${way})`, async (site) => {
      site.write("source/file");
      await using sshd = await Sshd.start();
      const remoteFolder = await spoil(site);
      const more = { remoteFolder, ...(way === "ssh" ? { ssh: sshd.settings } : {}) };
      const before = archivesIn(remoteFolder);
      const { check, backup, didHookRun, failed } = await compare(site, ["source"], more);
      try {
        assertEquals([check.code, backup.code, didHookRun], [1, 1, false], check.stdout);
        assertEquals(failed.length, 1, failed.join("\n"));
        assertMatch(failed[0]!, words);
        assertMatch(backup.lastLine, words);
        assertEquals(archivesIn(remoteFolder), before);
      } finally {
        await tryRun("chattr", "-i", remoteFolder);
      }
    });
  }
}

btrfsTest("row 60: check and hello say that a storage cannot make hard links", async (site) => {
  site.write("source/file");
  const through = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat"].concat(
    ["-e", "inject=linkat:error=EPERM"],
  );
  const { check, backup, didHookRun, failed } = await compare(site, ["source"], {}, { through });
  assertEquals([check.code, backup.code, didHookRun], [1, 1, false], check.stdout);
  assertMatch(failed.join(), /cannot make hard links: operation not permitted/);
  assertMatch(backup.lastLine, /cannot make hard links/);
}, ["program strace"]);

btrfsTest("row 60: check says that a storage with little room will be too small", async (site) => {
  site.write("source/file", new Uint8Array(3 << 20).fill(1));
  const path = await site.mount("store", "-t", "tmpfs", "-o", "size=8m", "plasma-test");
  const remoteFolder = site.addStorage("store/folder");
  const first = await compare(site, ["source"], { remoteFolder });
  assertEquals([first.check.code, first.backup.code], [0, 0], first.check.stdout);
  site.write("store/filler", new Uint8Array(3 << 20));
  const second = await compare(site, ["source"], { remoteFolder });
  assertEquals(second.check.code, 1);
  assertMatch(second.failed.join(), /^only .* are free, and the newest archive has 3\.\d+ MiB/);
  assertMatch(second.backup.stderr, /warning: storage: only .* are free/);
  Deno.removeSync(`${path}/filler`);
});

btrfsTest("row 60: check says that a runtime folder cannot be made", async (site) => {
  site.write("source/file");
  const script = 'mount -t tmpfs -o mode=755,ro none /run && exec "$@"';
  const through = ["unshare", "--mount", "sh", "-c", script, "sh"];
  const { check, backup, failed } = await compare(site, ["source"], {}, { through });
  assertEquals([check.code, backup.code], [1, 1]);
  assertMatch(failed.join(), /\/run\/plasma: the filesystem is read-only/);
});

btrfsTest("row 60: check tries the snapshot: a swapfile in use", async (site) => {
  await site.subvolume("btrfs/data");
  const swap = site.at("btrfs/data/swap");
  await sh("truncate", "-s", "0", swap);
  await sh("chattr", "+C", swap);
  await sh("fallocate", "-l", "4M", swap);
  Deno.chmodSync(swap, 0o600);
  await sh("mkswap", "-q", swap);
  await sh("swapon", swap);
  try {
    for (const strategy of ["btrfs-snapshot", "btrfs-send"]) {
      const store = strategy === "btrfs-send"
        ? { remoteFolder: site.addStorage("btrfs/store") }
        : {};
      const { check, failed } = await compare(site, ["btrfs/data"], { strategy, ...store });
      assertEquals(check.code, 1, check.stdout);
      assertMatch(failed.join(), /Text file busy|in use/i);
    }
  } finally {
    await sh("swapoff", swap);
  }
});

btrfsTest("check leaves no snapshot, and holds up no backup", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  const more = { strategy: "btrfs-snapshot" };
  const { check, backup } = await compare(site, ["btrfs/data"], more);
  assertEquals([check.code, backup.code], [0, 0], check.stdout + backup.stderr);
  assertEquals(namesIn(site.at("btrfs/.plasma")), []);
  const [one, two] = await Promise.all([
    compare(site, ["btrfs/data"], more),
    plasma(["check", "--config", site.config(["btrfs/data"], more)]),
  ]);
  assertEquals([one.check.code, one.backup.code, two.code], [0, 0, 0]);
});

/** What is configured, and what is said when nothing of it is archived. */
const nothings: readonly (readonly [name: string, more: object, words: RegExp])[] = [
  ["excluded", { exclude: ["excluded"] }, /nothing of .*excluded is archived: "exclude" leaves/],
  ["outer/inner", { exclude: ["*/outer/inner"] }, /nothing of .*inner is archived: "exclude"/],
  ["emptied", { exclude: ["*.tmp"] }, /nothing in .*emptied is archived: it is empty/],
  ["mountpoint", {}, /nothing in .*mountpoint is archived: it is empty \(is a disk not mounted/],
  ["link", {}, /of .*link only the link itself is archived, not .*full, to which it leads/],
  ["socket", {}, /nothing of .*socket is archived: it is a socket/],
];

for (const strategy of ["tar", "btrfs-snapshot"]) {
  btrfsTest(
    `row 64: a folder that gives nothing is never passed over (${strategy})`,
    async (site) => {
      await site.subvolume("btrfs/data");
      const at = (name: string) => `btrfs/data/${name}`;
      for (
        const name of ["excluded/file", "outer/inner/file", "outer/file", "emptied/a.tmp", "full/a"]
      ) {
        site.write(at(name));
      }
      site.makeFolder(at("mountpoint"));
      Deno.symlinkSync(site.at(at("full")), site.at(at("link")));
      await sh(
        "python3",
        "-c",
        "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
        site.at(at("socket")),
      );
      for (const [name, more, words] of nothings) {
        const told = site.at("told");
        const config = site.config([at("full"), at("outer"), at(name)], {
          strategy,
          remoteFolder: site.addStorage(`storage of ${name.replace("/", " ")}`),
          ...more,
          executeAlways: [`printf %s "$PLASMA_WARNINGS" >${told}`],
        });
        const check = await plasma(["check", "--config", config, "--json"]);
        assertEquals(check.code, 0, check.stdout);
        const warned = (JSON.parse(check.stdout) as Finding[])
          .filter(({ state }) => state === "warning").map(({ detail }) => detail);
        assertEquals(warned.length, 1, warned.join("\n"));
        assertMatch(warned[0]!, words);
        const { code, stdout, stderr } = await plasma([
          "backup",
          "--config",
          config,
          "--quiet",
          "--json",
        ]);
        const { warnings, folders } = JSON.parse(stdout);
        assertEquals([code, warnings], [0, warned], stderr);
        assertMatch(stderr, new RegExp(`^warning: ${words.source}`, "m"));
        assertEquals(site.read("told"), warned[0]);
        const [full, outer] = folders;
        assertEquals([full.entries, full.bytes], [2, site.read(at("full/a")).length]);
        assertEquals(outer.entries > 1, true);
      }
      const missing = site.config([at("outer"), at("outer/missing")], { strategy });
      const { code, lastLine } = await plasma(["backup", "--config", missing]);
      assertEquals(code, 1);
      assertMatch(lastLine, /outer\/missing does not exist/);
    },
  );
}

btrfsTest("row 64: with btrfs-send too", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/full/a");
  site.makeFolder("btrfs/data/mountpoint");
  const remoteFolder = site.addStorage("btrfs/store");
  const config = site.config(["btrfs/data/full", "btrfs/data/mountpoint"], {
    strategy: "btrfs-send",
    remoteFolder,
  });
  const { code, stderr } = await plasma(["backup", "--config", config, "--quiet"]);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /warning: nothing in .*mountpoint is archived: it is empty/);
  const check = await plasma(["check", "--config", config]);
  assertMatch(check.stdout, /WARNING .*nothing in .*mountpoint is archived/);
});

testThatNeeds(
  ["root", "program setpriv"],
  "row 60: check and hello say that a storage belongs to somebody else",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const user = await asUser(64_128, folder);
    await sh("chown", "-R", "root:root", storage);
    const config = folder.write(
      "config.json",
      JSON.stringify({
        folders: [folder.at("data")],
        strategy: "tar",
        remoteFolder: storage,
        executeBefore: [`: >${folder.at("hook-ran")}`],
      }),
    );
    const check = await plasma(["check", "--config", config], user);
    assertEquals(check.code, 1, check.stdout);
    assertMatch(check.stdout, /FAILED +storage +cannot write to .*: permission denied/);
    const backup = await plasma(["backup", "--config", config], user);
    assertEquals([backup.code, namesIn(folder.path).includes("hook-ran")], [1, false]);
    assertMatch(backup.lastLine, /cannot write to .*: permission denied/);
  },
);
