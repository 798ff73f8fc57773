import { assert, assertEquals, assertMatch } from "@std/assert";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site, snapshotsOf } from "../support/site.ts";
import { keptOf, Nights, noise, sendTest } from "./send_night.ts";

/** What is sent and frozen of subvolumes that are mounted, related, or many. */

const pathsIn = (site: Site, nights: Nights) =>
  nights.records().map(({ path }) => path.slice(site.path.length + 1)).sort();

for (const where of ["btrfs/data/backup/store", "btrfs/data/store"]) {
  btrfsTest(
    `row 65: a storage within reach is never part of what is sent: ${where}`,
    async (site) => {
      await site.subvolume("btrfs/data");
      site.write("btrfs/data/large", noise(100_000));
      // The subvolume is the storage folder, or a folder above it.
      await site.subvolume(where.split("/").slice(0, 3).join("/"));
      const nights = new Nights(site, where);
      const config = site.config(["btrfs/data"], nights.more);
      for (let night = 0; night < 3; night++) {
        await nights.runWell();
        const expected = where === "btrfs/data/store" ? ["btrfs/data"] : [
          "btrfs/data",
          "btrfs/data/backup",
        ];
        assertEquals(pathsIn(site, nights), expected);
        assert(nights.bytes < 200_000, `${nights.bytes}`);
      }
      for (const command of [["backup", "--dry-run"], ["check"]]) {
        const { code, stdout, stderr } = await plasma([...command, "--config", config]);
        assertEquals(code, 0, stderr + stdout);
        const words = command[0] === "check"
          ? /whole subvolumes are sent: (\S+btrfs\/data)(, \S+\/backup)?\n/
          : new RegExp(`skipped +${site.at(where)} +written by this backup itself`);
        assertMatch(stdout, words);
      }
    },
  );
}

sendTest("row 65: a storage in a subvolume that is sent is warned of", async (site) => {
  const nights = new Nights(site, "btrfs/data/store");
  const { code, stderr } = await nights.run();
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /data\/store, where this backup writes, lies in a subvolume that is sent/);
});

btrfsTest("row 65: a storage within reach of the other strategies is shown", async (site) => {
  await site.subvolume("btrfs/data");
  const remoteFolder = site.addStorage("btrfs/data/store");
  for (const strategy of ["tar", "btrfs-snapshot"]) {
    const { folders: [covered] } = await site.coverage(["btrfs/data"], { strategy, remoteFolder });
    assertEquals(
      covered!.skipped.filter(({ path }) => path === remoteFolder).map(({ reason }) => reason),
      ["written by this backup itself"],
    );
  }
});

sendTest("row 66: increments, whatever is mounted where", async (site, nights) => {
  site.write("btrfs/data/large", noise(1_000_000));
  await site.subvolume("btrfs/data/nested");
  site.write("btrfs/data/nested/large", noise(500_000));
  const folders: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["btrfs/data", () => Promise.resolve()],
    ["mounted", () => site.mountSubvolume("mounted", "data")],
    ["btrfs/data", () => Promise.resolve()],
    ["bound", () => site.bind("btrfs/data", "bound")],
    ["again/data", () => site.mountSubvolume("again", "/")],
    ["mounted", () => sh("umount", site.at("bound"))],
    ["btrfs/data", () => sh("umount", site.at("mounted"))],
  ];
  for (const [night, [folder, change]] of folders.entries()) {
    await change();
    site.write("btrfs/data/small", noise(1000 + night));
    const { code, stderr } = await site.backUp([folder], nights.more);
    assertEquals(code, 0, stderr);
    assert(night === 0 || nights.bytes < 20_000, `${folder}: ${nights.bytes} ${stderr}`);
    assertEquals((await keptOf(site)).length, 1);
    assertEquals(snapshotsOf(site).length, 2);
  }
});

sendTest("row 67: whole subvolumes are excluded by path and by pattern", async (site, nights) => {
  for (const name of ["a", "a/deep", "b", "snapshots/1", "snapshots/2", "c"]) {
    await site.subvolume(`btrfs/data/${name}`);
  }
  const exclude = [site.at("btrfs/data/a/"), site.at("btrfs/*/snapshots/*"), "/nowhere", "*.tmp"];
  const { stderr } = await nights.runWell({ exclude });
  assertEquals(pathsIn(site, nights), ["btrfs/data", "btrfs/data/b", "btrfs/data/c"]);
  assertMatch(stderr, /exclude has no effect.*: "\/nowhere", "\*\.tmp"\n/);
  assertMatch(stderr, /left out: \S+btrfs\/data\/a\/deep: excluded/);
});

sendTest(
  "row 68: who owns a subvolume can delete it while snapshots are kept",
  async (site, nights) => {
    await site.subvolume("btrfs/data/layer");
    await nights.runWell();
    await sh("btrfs", "-q", "subvolume", "delete", site.at("btrfs/data/layer"));
    await nights.runWell();
    assertEquals(snapshotsOf(site).length, 1);
  },
);

btrfsTest("row 68: 300 subvolumes are frozen and archived within seconds", async (site) => {
  await site.addBtrfs("btrfs/large", { megabytes: 1024 });
  const names = Array.from({ length: 300 }, (_, index) => site.at(`btrfs/large/s${index}`));
  await sh(
    "sh",
    "-c",
    'for name; do echo "$name"; done | xargs -n 1 -P 8 btrfs -q sub create',
    "sh",
    ...names,
  );
  for (const name of names) Deno.writeTextFileSync(`${name}/file`, "content");
  const start = performance.now();
  await site.backUpWell(["btrfs/large"]);
  const seconds = (performance.now() - start) / 1000;
  assertEquals((await site.members()).length, 2 * 300 + 1);
  assert(seconds < 12, `${seconds} s`);
});

sendTest(
  "row 84: a subvolume that is read-only, changed and read-only again",
  async (site, nights) => {
    const path = await site.subvolume("btrfs/data/frozen");
    site.write("btrfs/data/frozen/large", noise(300_000));
    await site.makeReadOnly("btrfs/data/frozen");
    await nights.runWell();
    for (const content of ["first", "second"]) {
      await sh("btrfs", "property", "set", path, "ro", "false");
      site.write("btrfs/data/frozen/file", content);
      await site.makeReadOnly("btrfs/data/frozen");
      await nights.runWell();
      assertEquals(Deno.readTextFileSync(`${nights.stored("btrfs/data/frozen")}/file`), content);
      assert(nights.bytes < 10_000, `${nights.bytes}`);
    }
  },
);

sendTest(
  "row 84: a received subvolume that is changed under its received uuid",
  async (site, nights) => {
    site.write("btrfs/data/large", noise(300_000));
    await sh(
      "btrfs",
      "-q",
      "subvolume",
      "snapshot",
      "-r",
      site.at("btrfs/data"),
      site.at("btrfs/sent"),
    );
    await sh(
      "sh",
      "-c",
      'btrfs send -q "$0" | btrfs receive -q "$1"',
      site.at("btrfs/sent"),
      site.at("btrfs/data"),
    );
    const path = site.at("btrfs/data/sent");
    for (const content of ["first", "second"]) {
      await nights.runWell();
      await sh("btrfs", "property", "set", "-f", path, "ro", "false");
      Deno.writeTextFileSync(`${path}/file`, content);
      await sh("btrfs", "property", "set", path, "ro", "true");
      await nights.runWell();
      assertEquals(Deno.readTextFileSync(`${nights.stored("btrfs/data/sent")}/file`), content);
      assert(nights.bytes < 20_000, `${nights.bytes}`);
    }
  },
);

btrfsTest("row 84: a read-only subvolume is frozen for the archive too", async (site) => {
  const path = await site.subvolume("btrfs/data/frozen");
  site.write("btrfs/data/frozen/file", "before");
  await site.makeReadOnly("btrfs/data/frozen");
  await site.backUpWell(["btrfs/data"], {
    executeAfterSnapshot: [`btrfs property set ${path} ro false; echo after >${path}/file`],
  });
  assertEquals(site.read(`${await site.restore()}/btrfs/data/frozen/file`), "before");
});
