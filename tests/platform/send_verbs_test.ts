import { assert, assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import type { Site } from "../support/site.ts";
import { Sshd } from "../support/sshd.ts";
import { keptOf, Nights, noise, sendOverSshTest, sendTest, walk } from "./send_night.ts";

/** Rename an archive to that of another time, as if it had been stored then. */
function redate(nights: Nights, name: string): string {
  Deno.renameSync(nights.newest, `${nights.storage}/${name}`);
  return name;
}

/** The tree of `btrfs/data` as it was restored somewhere. */
const restored = (site: Site, target: string) => `${target}${site.at("btrfs/data")}`;

async function makeTree(site: Site): Promise<void> {
  await site.subvolume("btrfs/data/nested");
  await site.subvolume("btrfs/data/a, b&c [x]\\1");
  for (const name of ["nested", "a, b&c [x]\\1", "folder"]) {
    site.write(`btrfs/data/${name}/file`, noise(3000));
  }
  Deno.linkSync(site.at("btrfs/data/folder/file"), site.at("btrfs/data/folder/hard link"));
  await sh("ln", "-s", "/etc/hostname", site.at("btrfs/data/folder/symlink"));
  await sh("setfattr", "-n", "user.test", "-v", "value", site.at("btrfs/data/folder/file"));
  await sh("truncate", "-s", "2M", site.at("btrfs/data/folder/sparse"));
}

/** What is restored has nothing of plasma, and whole subvolumes as folders. */
const withoutOwn = (lines: string[]) =>
  lines.filter((line) => !/^b'[^']*\/\.plasma['\/]/.test(line));

sendOverSshTest(
  "restore: the whole archive and paths of it, here and over SSH",
  async (site, nights, sshd) => {
    await makeTree(site);
    await nights.runWell();
    const [destination, ...flags] = sshd.destination(nights.storage);
    const origins = { local: [nights.storage], ssh: [destination, ...flags] };
    for (const [origin, [from, ...more]] of Object.entries(origins)) {
      const whole = site.at(`whole-${origin}`);
      const result = await plasma([
        "restore",
        "latest",
        "--target",
        whole,
        "--from",
        from!,
        ...more,
      ]);
      assertEquals(result.code, 0, result.stderr);
      assertEquals(
        await walk(restored(site, whole)),
        withoutOwn(await walk(site.at("btrfs/data"))),
      );
      const part = site.at(`part-${origin}`);
      const paths = ["folder/hard link", "folder/file", "nested", "a, b&c [x]\\1/file"].map((
        name,
      ) => site.at(`btrfs/data/${name}`));
      const some = await plasma([
        "restore",
        "latest",
        ...paths,
        "--target",
        part,
        "--from",
        from!,
        ...more,
      ]);
      assertEquals(some.code, 0, some.stderr);
      assertEquals(namesIn(restored(site, part)), ["a, b&c [x]\\1", "folder", "nested"]);
      assertEquals(namesIn(`${restored(site, part)}/folder`), ["file", "hard link"]);
      await sh("cmp", `${restored(site, part)}/nested/file`, site.at("btrfs/data/nested/file"));
      const none = await plasma([
        "restore",
        "latest",
        "/not/there",
        "--target",
        site.at(`none-${origin}`),
        "--from",
        from!,
        ...more,
      ]);
      assertEquals(none.code, 1, none.stderr);
    }
  },
);

sendOverSshTest("list, status and verify know the archives", async (site, nights, sshd) => {
  await makeTree(site);
  await nights.runWell();
  const [name] = nights.archives;
  const [destination, ...flags] = sshd.destination(nights.storage);
  for (const from of [[nights.storage], [destination, ...flags]]) {
    const list = await plasma(["list", "--json", "--from", ...from]);
    assertEquals(JSON.parse(list.stdout).archives.map((one: { name: string }) => one.name), [name]);
    for (const deep of [[], ["--deep"]]) {
      const verify = await plasma(["verify", ...deep, "--from", ...from]);
      assertEquals(verify.code, 0, verify.stdout + verify.stderr);
      assertMatch(verify.stdout, deep.length > 0 ? /all data read/ : /data not read/);
    }
  }
  const status = await plasma(["status", "--json", nights.storage]);
  assertEquals(status.code, 0, status.stdout);
  assert(status.stdout.includes(name!), status.stdout);
  // A bit of the data rots: btrfs finds it when it is read.
  await sh("btrfs", "property", "set", "-f", nights.stored(), "ro", "false");
  const verify = await plasma(["verify", "--from", nights.storage]);
  assertEquals(verify.code, 1);
  assertMatch(verify.stdout, /not read-only any more/);
});

sendTest(
  "rotate deletes archives as a whole, but the newest of an agent only after 100 days",
  async (site, nights) => {
    await makeTree(site);
    await nights.runWell();
    const daysAgo = (days: number) => {
      const date = Temporal.Now.plainDateISO().subtract({ days });
      return `${date.toString().replaceAll("-", "")}-0000-daily`;
    };
    const old = redate(nights, `${daysAgo(99)}.btrfs`);
    await nights.runWell();
    const parent = redate(nights, `${daysAgo(98)}.btrfs`);
    site.write("store/backups/plasma-rotate.json", JSON.stringify({ policy: { daily: 1 } }));
    // Of another agent, newer, so that the policy keeps this one only.
    const other = site.write(`store/backups/${daysAgo(1)}.tar`, "");
    const dry = await plasma(["rotate", "--dry-run", nights.storage]);
    assertEquals(dry.code, 0, dry.stderr);
    assertEquals(nights.archives.length, 3);
    const result = await plasma(["rotate", nights.storage]);
    assert([0, 3].includes(result.code), result.stderr);
    assertEquals(archivesIn(nights.storage).includes(old), false);
    assertEquals(archivesIn(nights.storage).includes(parent), true);
    const list = await sh("btrfs", "subvolume", "list", site.at("store"));
    assertEquals(list.includes(old), false);
    assertEquals(list.trim().split("\n").length, 3, list);
    assertEquals(
      namesIn(`${nights.storage}/.plasma`).filter((name) =>
        /trash/.test(name) && namesIn(`${nights.storage}/.plasma/${name}`).length > 0
      ),
      [],
    );
    Deno.removeSync(other);
    const { stderr } = await nights.runWell();
    assert(!/sending all/.test(stderr), stderr);
    // Agents that a thief has invented do not come back.
    site.write(`store/backups/${daysAgo(1)}.tar`, "");
    const gone = redate(nights, `${daysAgo(101)}.btrfs`);
    const later = await plasma(["rotate", nights.storage]);
    assertEquals(later.code, 0, later.stderr);
    assertEquals(archivesIn(nights.storage).includes(gone), false);
  },
);

sendTest("a storage that is not on btrfs is refused with the alternative", async (site, nights) => {
  const more = { ...nights.more, remoteFolder: site.storage };
  const backup = await site.backUp(["btrfs/data"], more);
  assertEquals(backup.code, 1);
  assertMatch(backup.stderr, /not on btrfs/);
  assertMatch(backup.stderr, /btrfs-snapshot/);
  assertEquals([
    archivesIn(site.storage),
    namesIn(`${site.storage}/.plasma/incoming`),
    await keptOf(site),
  ], [[], [], []]);
  const check = await plasma(["check", "--config", site.config(["btrfs/data"], more)]);
  assertEquals(check.code, 1, check.stdout);
  assertMatch(check.stdout + check.stderr, /btrfs-snapshot/);
});

sendTest("row 18: a source not on btrfs is refused with the alternative", async (site, nights) => {
  await site.subvolume("btrfs/data2");
  site.write("plain/file");
  const { code, stderr } = await site.backUp(["btrfs/data", "plain"], nights.more);
  assertEquals(code, 1);
  assertMatch(stderr, /not on btrfs: .*plain[^]*btrfs-snapshot/);
  assertEquals(await site.snapshots(), []);
});

sendTest("a key with --root cannot receive unless it is allowed to", async (site, nights) => {
  for (const [allow, status] of [["", 1], [" --allow receive", 0]] as const) {
    const forcedOptions = `command="${plasmaProgram} serve --root ${nights.storage}${allow}"`;
    await using sshd = await Sshd.start({ forcedOptions });
    const { code, stderr } = await nights.run({}, { ssh: sshd.settings });
    assertEquals(code, status, stderr);
    if (status === 1) assertMatch(stderr, /receive/);
    assertEquals(
      [nights.archives.length, (await keptOf(site)).length],
      status === 1 ? [0, 0] : [1, 1],
    );
  }
});

sendTest("excludes are said to have no effect", async (_site, nights) => {
  const { stderr } = await nights.runWell({ exclude: ["*.tmp"] });
  assertMatch(stderr, /exclude has no effect/);
  assertEquals((await nights.runWell()).stderr.includes("exclude"), false);
});

sendTest("what is mounted in the folders is left out, and said, or fails", async (site, nights) => {
  await site.tmpfs("btrfs/data/memory");
  const { code, stderr } = await nights.run({}, { options: { liveMounts: "skip" } });
  assert([0, 3].includes(code), stderr);
  assertMatch(stderr, /memory is left out: on tmpfs/);
  const archives = nights.archives.length;
  const failed = await nights.run({}, { options: { liveMounts: "fail" } });
  assertEquals(failed.code, 1);
  assertMatch(failed.stderr, /memory/);
  assertEquals([nights.archives.length, (await keptOf(site)).length], [archives, 1]);
});

sendTest(
  "a dry run and check say that whole subvolumes are sent, and change nothing",
  async (site, nights) => {
    site.write("btrfs/data/folder/file");
    const config = site.config(["btrfs/data/folder"], nights.more);
    const { code, stdout, stderr } = await plasma(["backup", "--dry-run", "--config", config]);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /btrfs\/data .*sent as a whole/);
    const check = await plasma(["check", "--config", config]);
    assertEquals(check.code, 0, check.stdout + check.stderr);
    assertMatch(check.stdout, /whole/);
    assertEquals([await site.snapshots(), nights.archives], [[], []]);
  },
);

sendOverSshTest("compressed on the wire, with hooks, as JSON", async (site, nights) => {
  site.write("btrfs/data/large", "text ".repeat(400_000));
  const log = site.at("hooks");
  const hook = (name: string) => [`echo ${name} >>${log}`];
  const more = {
    compression: "zstd",
    executeBefore: hook("before"),
    executeAfterSnapshot: hook("snapshot"),
    executeAfter: hook("after"),
  };
  const config = site.config(["btrfs/data"], { ...nights.more, ...more });
  const { code, stdout, stderr } = await plasma(["backup", "--json", "--config", config]);
  assertEquals(code, 0, stderr);
  await nights.assertNewestIsAsSent();
  assert(nights.bytes < 100_000, `${nights.bytes}`);
  assertEquals(Deno.readTextFileSync(log), "before\nsnapshot\nafter\n");
  const { archive, bytes, warnings } = JSON.parse(stdout);
  assertEquals([archive, bytes, warnings], [nights.archives.at(-1), nights.bytes, []]);
});
