import { assert, assertEquals, assertMatch } from "@std/assert";
import { namesIn } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import type { Site } from "../support/site.ts";
import type { Sshd } from "../support/sshd.ts";
import { type Nights, noise, sendOverSshTest, sendTest, uuidOf } from "./send_night.ts";

/** Let the storage host count what it is asked; returns the number since the last call. */
function countSessions(site: Site, nights: Nights, sshd: Sshd): () => number {
  const log = site.write("sessions", "");
  const command = site.write(
    "remote",
    `#!/bin/sh\necho x >>${log}\nexec ${plasmaProgram} "$@"\n`,
  );
  Deno.chmodSync(command, 0o755);
  nights.more = { ...nights.more, ssh: { ...sshd.settings, command } };
  return () => {
    const count = Deno.readTextFileSync(log).length / 2;
    Deno.writeTextFileSync(log, "");
    return count;
  };
}

/** Make subvolumes below `btrfs/data`, each with a file. */
async function makeMany(site: Site, names: readonly string[]): Promise<void> {
  const script = 'cd "$1"; shift; for name; do btrfs -q subvolume create "$name"; ' +
    'echo "$name" >"$name/file"; done';
  await sh("sh", "-c", script, "sh", site.at("btrfs/data"), ...names);
}

sendOverSshTest(
  "row 68: two hundred subvolumes with long names go over one connection",
  async (site, nights, sshd) => {
    const names = Array.from({ length: 200 }, (_, n) => `${n}-${"long name ".repeat(20)}`);
    await makeMany(site, names);
    const sessions = countSessions(site, nights, sshd);
    const first = await nights.run();
    assertEquals(first.code, 0, first.stderr);
    const records = nights.records();
    assertEquals(records.length, 201);
    assert(JSON.stringify(records).length > 100_000);
    const count = sessions();
    assert(count <= 5, `${count} sessions`);
    for (const { name, path } of records.filter(({ path }) => path.includes("long name"))) {
      const stored = Deno.readTextFileSync(`${nights.newest}/${name}/file`);
      assertEquals(stored, `${path.slice(path.lastIndexOf("/") + 1)}\n`);
    }
    // Of those that have not changed nothing is sent.
    site.write(`btrfs/data/${names[7]}/file`, "changed");
    const second = await nights.run();
    assertEquals(second.code, 0, second.stderr);
    assert(nights.bytes < 5_000, `${nights.bytes}`);
    assertEquals(sessions() <= 5, true);
    assertEquals(nights.records().length, 201);
    const changed = nights.stored(`btrfs/data/${names[7]}`);
    assertEquals(Deno.readTextFileSync(`${changed}/file`), "changed");
    const verify = await plasma(["verify", "--from", nights.storage]);
    assertEquals(verify.code, 0, verify.stdout);
    assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
  },
);

/**
 * Make all that is stored useless as parents although it looks good: what `btrfs receive` finds by the
 * uuid is a copy that lies elsewhere, where it must not reach.
 */
async function hideParents(site: Site, nights: Nights): Promise<void> {
  site.makeFolder("store/elsewhere");
  for (const { name } of nights.records()) {
    const [stored, copy] = [`${nights.newest}/${name}`, site.at(`store/elsewhere/${name}`)];
    await sh("btrfs", "-q", "subvolume", "snapshot", "-r", stored, copy);
    await sh("btrfs", "-q", "subvolume", "delete", stored);
    await sh("btrfs", "-q", "subvolume", "snapshot", "-r", copy, stored);
  }
}

sendOverSshTest(
  "row 68: increments that are refused cost a few connections, not one each",
  async (site, nights, sshd) => {
    const names = Array.from({ length: 12 }, (_, n) => `s${n}`);
    await makeMany(site, names);
    await nights.runWell();
    await hideParents(site, nights);
    for (const name of names) site.write(`btrfs/data/${name}/file`, `changed ${name}`);
    site.write("btrfs/data/file", "changed");
    const sessions = countSessions(site, nights, sshd);
    const { stderr } = await nights.runWell();
    const refusals = stderr.match(/no increment possible/g)?.length ?? 0;
    assert(refusals > 1 && refusals <= 4, stderr);
    const count = sessions();
    assert(count <= 9, `${count} sessions`);
    assertEquals(nights.records().length, 13);
    // Only what lies elsewhere is known by the old uuids: the next night builds upon this one.
    for (const name of names) site.write(`btrfs/data/${name}/file`, `changed again ${name}`);
    const next = await nights.runWell();
    assert(!/sending all/.test(next.stderr), next.stderr);
  },
);

sendOverSshTest(
  "row 53: a user whose increments are refused has nobody else's sent as a whole",
  async (site, nights, sshd) => {
    const hers = ["a", "m", "z"];
    const his = Array.from({ length: 6 }, (_, n) => `b${n}`);
    await makeMany(site, [...hers, ...his]);
    // What an increment may leave behind by a fault of btrfs: the storage refuses what has it.
    for (const name of his) site.write(`btrfs/data/${name}/o257-10-0`, "");
    for (const name of hers) site.write(`btrfs/data/${name}/large`, noise(300_000));
    await nights.runWell();
    for (const name of [...hers, ...his]) site.write(`btrfs/data/${name}/file`, `changed ${name}`);
    const sessions = countSessions(site, nights, sshd);
    const { stderr } = await nights.runWell();
    const whole = [...stderr.matchAll(/data\/(\w+): sending all/g)].map(([, name]) => name);
    assertEquals(whole.toSorted(), his, stderr);
    assert(nights.bytes > 1000 && nights.bytes < 100_000, `${nights.bytes}`);
    const count = sessions();
    assert(count <= 10, `${count} sessions`);
    await nights.assertNewestIsAsSent();
  },
);

sendTest("one increment that is refused keeps no other from being one", async (site, nights) => {
  const names = ["a", "b", "c"];
  await makeMany(site, names);
  for (const name of names) site.write(`btrfs/data/${name}/large`, noise(300_000));
  await nights.runWell();
  const stored = nights.stored("btrfs/data/b");
  const copy = site.at("store/b");
  await sh("btrfs", "-q", "subvolume", "snapshot", "-r", stored, copy);
  await sh("btrfs", "-q", "subvolume", "delete", stored);
  await sh("btrfs", "-q", "subvolume", "snapshot", "-r", copy, stored);
  for (const name of names) site.write(`btrfs/data/${name}/file`, `changed ${name}`);
  const { stderr } = await nights.runWell();
  assertEquals(stderr.match(/sending all of it/g)?.length, 1, stderr);
  assertMatch(stderr, /data\/b: no increment possible: /);
  assert(nights.bytes > 300_000 && nights.bytes < 400_000, `${nights.bytes}`);
});

sendOverSshTest("row 67: what snapshots share is sent and stored once", async (site, nights) => {
  const size = 5_000_000;
  site.write("btrfs/data/large", noise(size));
  await site.subvolume("btrfs/data/.snapshots");
  for (const number of [1, 2, 3, 4, 5]) {
    site.write(`btrfs/data/changing${number % 2}`, noise(20_000));
    site.makeFolder(`btrfs/data/.snapshots/${number}`);
    const place = site.at(`btrfs/data/.snapshots/${number}/snapshot`);
    await sh("btrfs", "-q", "subvolume", "snapshot", "-r", site.at("btrfs/data"), place);
  }
  await nights.runWell();
  assertEquals(nights.records().length, 7);
  assert(nights.bytes < size * 1.2, `${nights.bytes}`);
  const before = nights.newest;
  site.write("btrfs/data/changing0", noise(20_000));
  await nights.runWell();
  assert(nights.bytes < 100_000, `${nights.bytes}`);
  // The storage holds the data once, too.
  const used = await sh("btrfs", "filesystem", "du", "-s", "--raw", site.at("store/backups"));
  const [total, exclusive, shared] = used.trim().split("\n").at(-1)!.trim().split(/\s+/).map(
    Number,
  );
  assert(total! > 10 * size && exclusive! + shared! < size * 1.5, used);
  assertEquals((await uuidOf(nights.stored("btrfs/data", before))).length, 2);
});

sendTest(
  "a stream that is cut between two subvolumes is not taken for all",
  async (site, nights) => {
    await makeMany(site, ["a", "b", "c", "d"]);
    // The third `btrfs send` fails once, before it has said anything.
    const count = site.write("count", "");
    site.fake(
      "btrfs",
      `case $1 in send) case " $* " in *--help*) ;; *) echo x >>${count}
      if [ "$(wc -l <${count})" = 3 ]; then echo "no more" >&2; exit 1; fi ;; esac ;; esac
    exec "$real" "$@"`,
    );
    const { code, stderr } = await nights.run();
    assertEquals(code, 3, stderr);
    assertMatch(stderr, /data\/b is left out: .*no more/);
    assertEquals(nights.records().map(({ name }) => name.split("%2F").at(-1)).sort(), [
      "a",
      "c",
      "d",
      "data",
    ]);
    assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
    await nights.runWell();
  },
);

sendOverSshTest("what is stored already is copied, compressed or not", async (site, nights) => {
  await makeMany(site, ["a", "b"]);
  for (const compression of ["none", "zstd"]) {
    for (let night = 0; night < 2; night++) {
      const { stderr } = await nights.runWell({ compression });
      assert(!/no increment/.test(stderr), stderr);
    }
    assert(nights.bytes < 100, `${nights.bytes}`);
  }
});

sendTest(
  "row 53: a subvolume that cannot be sent costs the others nothing",
  async (site, nights) => {
    await makeMany(site, ["a", "b"]);
    // Deeper than a path may be long: from within.
    const dig = "import os, sys; os.chdir(sys.argv[1])\n" +
      "for name in ['d' * 200] * 30: os.mkdir(name); os.chdir(name)";
    await sh("python3", "-c", dig, site.at("btrfs/data/a"));
    for (let night = 0; night < 2; night++) {
      site.write("btrfs/data/b/file", `changed ${night}`);
      const { code, stderr } = await nights.run();
      assertEquals(code, 3, stderr);
      assertMatch(stderr, /data\/a is left out: .*File name too long/);
      assertEquals(nights.records().map(({ name }) => name.split("%2F").at(-1)).sort(), [
        "b",
        "data",
      ]);
      await nights.assertNewestIsAsSent();
    }
    // What was asked for itself is not left out.
    const alone = await site.backUp(["btrfs/data/a"], nights.more);
    assertEquals(alone.code, 1, alone.stderr);
    await sh("rm", "-r", site.at(`btrfs/data/a/${"d".repeat(200)}`));
    await nights.runWell();
  },
);

sendTest("row 68: an archive of ten thousand subvolumes can be restored", async (site, nights) => {
  await nights.runWell();
  const { path, name } = nights.records().find(({ path }) => path.endsWith("/btrfs/data"))!;
  // As if of docker; only as folders, which make no difference here.
  const records = Array.from({ length: 9_999 }, (_, number) => {
    const path = `/var/lib/docker/btrfs/subvolumes/${String(number).padStart(64, "0")}`;
    return { name: path.slice(1).replaceAll("/", "%2F"), path, identity: crypto.randomUUID() };
  });
  for (const { name } of records) Deno.mkdirSync(`${nights.newest}/${name}`);
  const manifest = JSON.parse(Deno.readTextFileSync(`${nights.newest}/manifest.json`));
  manifest.subvolumes.push(...records);
  Deno.writeTextFileSync(`${nights.newest}/manifest.json`, JSON.stringify(manifest));
  const target = site.at("restored");
  const { code, stderr } = await plasma([
    "restore",
    "latest",
    "--from",
    nights.storage,
    "--target",
    target,
  ]);
  assertEquals(code, 0, stderr);
  assertEquals(namesIn(`${target}/var/lib/docker/btrfs/subvolumes`).length, 9_999);
  assertEquals(namesIn(`${target}${path}`), namesIn(`${nights.newest}/${name}`));
});
