import { assert, assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import type { Site } from "../support/site.ts";
import { keptOf, Nights, noise, sendOverSshTest, sendTest, walk } from "./send_night.ts";

const large = 1_000_000;
const writeLarge = (site: Site) => site.write("btrfs/data/large", noise(large));

/** The next night sends everything, and says so in one line; the one after it a little. */
async function assertSendsAll(site: Site, nights: Nights): Promise<void> {
  site.write("btrfs/data/small", noise(100));
  const { stderr } = await nights.runWell();
  const lines = stderr.split("\n").filter((line) => /btrfs\/data: sending all of it/.test(line));
  assertEquals(lines.length, 1, stderr);
  assert(nights.bytes > large, `${nights.bytes}`);
  assertEquals((await keptOf(site)).length, 1);
  site.write("btrfs/data/small", noise(100));
  await nights.runWell();
  assert(nights.bytes < 10_000, `${nights.bytes}`);
}

sendOverSshTest("row 45: a parent lost at the source: everything is sent", async (site, nights) => {
  writeLarge(site);
  await nights.runWell();
  await sh("btrfs", "-q", "subvolume", "delete", (await keptOf(site))[0]!);
  await assertSendsAll(site, nights);
});

sendOverSshTest(
  "row 45: a parent lost on the storage: everything is sent",
  async (site, nights) => {
    writeLarge(site);
    await nights.runWell();
    await sh("sh", "-c", `btrfs -q subvolume delete "$0"/*%2Fdata && rm -r "$0"`, nights.newest);
    await assertSendsAll(site, nights);
  },
);

const changes: Readonly<Record<string, (stored: string) => Promise<unknown>>> = {
  "is writable": (stored) => sh("btrfs", "property", "set", "-f", stored, "ro", "false"),
  "was writable for a while": async (stored) => {
    await sh("btrfs", "property", "set", "-f", stored, "ro", "false");
    Deno.writeTextFileSync(`${stored}/file`, "changed");
    Deno.removeSync(`${stored}/large`);
    await sh("btrfs", "property", "set", stored, "ro", "true");
  },
  "was replaced by a changed snapshot of it": async (stored) => {
    await sh("btrfs", "-q", "subvolume", "snapshot", stored, `${stored}.new`);
    await sh("btrfs", "-q", "subvolume", "delete", stored);
    Deno.removeSync(`${stored}.new/file`);
    await sh("btrfs", "property", "set", `${stored}.new`, "ro", "true");
    Deno.renameSync(`${stored}.new`, stored);
  },
};

for (const [what, change] of Object.entries(changes)) {
  sendTest(`a stored parent that ${what}: everything is sent (row 45)`, async (site, nights) => {
    writeLarge(site);
    await nights.runWell();
    const archive = nights.newest;
    await change(nights.stored());
    const verify = await plasma(["verify", "--from", nights.storage]);
    assertEquals(verify.code, 1, verify.stdout);
    await assertSendsAll(site, nights);
    assert(archivesIn(nights.storage).length >= 2 && archive !== nights.newest);
  });
}

sendTest("row 45: a kept snapshot that was changed is no parent", async (site, nights) => {
  writeLarge(site);
  await nights.runWell();
  const kept = (await keptOf(site))[0]!;
  await sh("btrfs", "property", "set", kept, "ro", "false");
  Deno.writeTextFileSync(`${kept}/file`, "changed in the snapshot");
  await sh("btrfs", "property", "set", kept, "ro", "true");
  site.write("btrfs/data/file", "changed in the source");
  await nights.runWell();
  assertEquals(Deno.readTextFileSync(`${nights.stored()}/file`), "changed in the source");
});

sendTest(
  "a file that is deleted in the kept snapshot and at the source is not stored",
  async (site, nights) => {
    site.write("btrfs/data/gone", noise(10_000));
    await nights.runWell();
    const kept = (await keptOf(site))[0]!;
    await sh("btrfs", "property", "set", kept, "ro", "false");
    Deno.removeSync(`${kept}/gone`);
    await sh("btrfs", "property", "set", kept, "ro", "true");
    Deno.removeSync(site.at("btrfs/data/gone"));
    await nights.runWell();
  },
);

sendTest("an archive that was renamed is a parent all the same", async (site, nights) => {
  writeLarge(site);
  await nights.runWell();
  Deno.renameSync(nights.newest, `${nights.storage}/20200101-0000-daily.btrfs`);
  await nights.runWell();
  assert(nights.bytes < 10_000, `${nights.bytes}`);
});

sendTest(
  "a source that was itself received and made writable is sent as a whole",
  async (site, nights) => {
    writeLarge(site);
    await nights.runWell();
    await sh(
      "sh",
      "-c",
      `btrfs send -q "$1" | btrfs receive -q "$0"`,
      site.at("btrfs"),
      nights.stored(),
    );
    const back = site.at("btrfs/back");
    const received = namesIn(site.at("btrfs")).find((name) => ![".plasma", "data"].includes(name))!;
    await sh("btrfs", "-q", "subvolume", "snapshot", site.at(`btrfs/${received}`), back);
    for (const content of ["one", "two"]) {
      site.write("btrfs/back/file", content);
      const { code, stderr } = await site.backUp(["btrfs/back"], nights.more);
      assertEquals(code, 0, stderr);
      const stored = nights.stored("btrfs/back");
      assertEquals(Deno.readTextFileSync(`${stored}/file`), content);
      assertEquals(await sh("cmp", `${stored}/large`, `${back}/large`), "");
    }
  },
);

sendOverSshTest("two storages do not disturb each other", async (site, nights) => {
  const other = new Nights(site, "store/other");
  writeLarge(site);
  for (const one of [nights, other]) await one.runWell();
  for (let night = 0; night < 4; night++) {
    site.write("btrfs/data/small", noise(200));
    // The second storage is used every other night only.
    for (const one of night % 2 === 0 ? [nights, other] : [nights]) {
      const { stderr } = await one.runWell();
      assert(!/sending all/.test(stderr), stderr);
      assert(one.bytes < 10_000, `${one.bytes}`);
      assertEquals((await keptOf(site)).length, 2);
    }
  }
});

sendOverSshTest("a storage that is away for ten nights", async (site, nights, sshd) => {
  writeLarge(site);
  await nights.runWell();
  const away = { ...nights.more, ssh: { ...sshd.settings, port: 1 }, retries: 0 };
  const other = new Nights(site, "store/other");
  for (let night = 0; night < 10; night++) {
    site.write(`btrfs/data/night${night}`, noise(300));
    const { code, stdout } = await nights.run({}, away);
    assertEquals([code, stdout], [1, ""]);
    assertEquals((await keptOf(site)).length, 1);
    assertEquals((await site.snapshots()).length, 1);
  }
  await other.runWell();
  await nights.runWell();
  assert(nights.bytes < 20_000, `${nights.bytes}`);
  assertEquals((await keptOf(site)).length, 2);
});

sendTest("runs of btrfs-snapshot leave the kept snapshots alone", async (site, nights) => {
  writeLarge(site);
  await nights.runWell();
  const kept = await keptOf(site);
  for (const remoteFolder of [site.storage, nights.storage]) {
    const { code, stderr } = await site.backUp(["btrfs/data"], { remoteFolder });
    assertEquals(code, 0, stderr);
    assertEquals(await keptOf(site), kept);
  }
  const tar = nights.archives.find((name) => name.endsWith(".tar"))!;
  assertEquals(
    await sh("sh", "-c", `tar -tf "$0" | grep -c "\\.sent" || true`, `${nights.storage}/${tar}`),
    "0\n",
  );
  await nights.run();
  const sent = nights.archives.filter((name) => name.endsWith(".btrfs")).at(-1)!;
  const stored = nights.stored("btrfs/data", `${nights.storage}/${sent}`);
  assertEquals(await walk(stored), await walk((await keptOf(site))[0]!));
});

sendTest(
  "row 84: subvolumes of one template are not mixed with one another",
  async (site, nights) => {
    await site.subvolume("btrfs/data/template");
    site.write("btrfs/data/template/large", noise(1_000_000));
    const names = ["one", "two", "three"];
    for (const name of names) {
      const [from, to] = ["template", name].map((name) => site.at(`btrfs/data/${name}`));
      await sh("btrfs", "-q", "subvolume", "snapshot", from!, to!);
    }
    await sh("sync", "-f", site.at("btrfs"));
    // In one transaction: the new ones have the same inode numbers, of the same generation.
    await sh(
      "sh",
      "-c",
      `cd "$0" && ln -s to/one one/link && ln -s to/two two/link &&
    echo in a file >one/x && mkfifo two/x && mkdir three/x &&
    echo in one >one/y && echo in two >two/y && echo in three >three/y`,
      site.at("btrfs/data"),
    );
    await nights.runWell();
    for (const name of names) {
      const listing = (folder: string) =>
        sh("sh", "-c", 'cd "$0" && ls -ln --time-style=+ && cat y', folder);
      assertEquals(
        await listing(nights.stored(`btrfs/data/${name}`)),
        await listing(site.at(`btrfs/data/${name}`)),
      );
    }
    // What they still have of the template is not sent again, and of what has changed only that.
    assert(nights.bytes < 1_100_000, `${nights.bytes}`);
    await nights.runWell();
    assert(nights.bytes < 10_000, `${nights.bytes}`);
  },
);

sendTest("row 84: a deleted folder that held a subvolume is gone", async (site, nights) => {
  // The number of the subvolume must be greater than those of the inodes.
  for (let count = 0; count < 20; count++) await site.subvolume(`btrfs/other${count}`);
  site.makeFolder("btrfs/data/folder");
  site.write("btrfs/data/folder/file", "in it");
  await site.subvolume("btrfs/data/folder/nested");
  await nights.runWell();
  await sh("btrfs", "-q", "subvolume", "delete", site.at("btrfs/data/folder/nested"));
  await sh("rm", "-r", site.at("btrfs/data/folder"));
  const { stderr } = await nights.runWell();
  assertMatch(stderr, /data: no increment possible: .* has o\d+-\d+-0/);
  assertEquals(namesIn(nights.stored("btrfs/data")), namesIn(site.at("btrfs/data")));
  site.makeFolder("btrfs/data/folder");
  assertEquals(/no increment/.test((await nights.runWell()).stderr), false);
  assertEquals(namesIn(nights.stored("btrfs/data")), namesIn(site.at("btrfs/data")));
});
