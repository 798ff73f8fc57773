import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

/** Mount a filesystem whose server never answers; whoever touches it waits for ever. */
async function mountDead(site: Site, name: string): Promise<AsyncDisposable> {
  const path = site.makeFolder(name);
  const server = new Deno.Command("python3", {
    args: [fromRoot("tests/testdata/dead_network_mount.py"), "fuse.unheardof", path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = server.stdout.getReader();
  await reader.read();
  return {
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await reader.cancel();
      await server.status;
      await sh("umount", path);
    },
  };
}

for (const strategy of ["tar", "btrfs-snapshot", "btrfs-send"]) {
  btrfsTest(
    `row 69: a configured folder that hangs ends the run, and is named (${strategy})`,
    async (site) => {
      await site.subvolume("btrfs/data");
      site.write("btrfs/data/file");
      await using _ = await mountDead(site, "dead");
      for (const folder of strategy === "tar" ? ["dead", "dead/below"] : ["dead"]) {
        const more = strategy === "btrfs-send"
          ? { remoteFolder: site.addStorage("btrfs/store") }
          : {};
        const { code, lastLine } = await site.backUp(["btrfs/data", folder], { strategy, ...more });
        assertEquals(code, 1, lastLine);
        assertMatch(lastLine, new RegExp(`${site.at(folder)} does not answer`));
      }
      assertEquals(archivesIn(site.storage), []);
    },
    ["program python3"],
  );
}

btrfsTest("row 69: a filesystem below a folder that hangs is left out and named", async (site) => {
  site.write("source/file");
  await using _ = await mountDead(site, "source/dead");
  const { code, lastLine } = await site.backUp(["source"], { strategy: "tar" });
  assertEquals(code, 3, lastLine);
  assertStringIncludes(lastLine, `${site.at("source/dead")} is left out: it does not answer`);
  assertEquals(await site.members(), ["source", "source/file"]);
}, ["program python3"]);

btrfsTest("row 69: a storage folder that hangs ends the run", async (site) => {
  site.write("source/file");
  await using _ = await mountDead(site, "dead");
  const more = { strategy: "tar", remoteFolder: site.at("dead/store") };
  const { code, lastLine } = await site.backUp(["source"], more);
  assertEquals(code, 1, lastLine);
  assertMatch(lastLine, /dead\/store does not answer for 30 s/);
}, ["program python3"]);

btrfsTest(
  "row 69: what another mount hides is named, and an empty mount point too",
  async (site) => {
    site.write("source/file");
    await site.tmpfs("source/outer");
    site.write("source/outer/hidden-file");
    await site.tmpfs("source/outer/inner");
    site.write("source/outer/inner/file");
    const over = await site.tmpfs("source/outer");
    const run = await site.backUp(["source", "source/outer"], { strategy: "tar" });
    assertEquals(run.code, 0, run.stderr);
    for (const name of ["source/outer", "source/outer/inner"]) {
      const words = `a filesystem (tmpfs) at ${
        site.at(name)
      } is not archived: another one is mounted`;
      assertStringIncludes(run.stderr, words);
    }
    assertMatch(run.stderr, /warning: nothing in .*source\/outer is archived: it is empty/);

    // A restore to there is refused with the reason, and goes well elsewhere.
    const args = ["restore", "latest", "--from", site.storage];
    const live = await plasma([...args, "--target", site.at("source"), "--into-existing"]);
    assertEquals(live.code, 1);
    assertMatch(live.lastLine, /outer\/inner: another mount may hide it: unmount one of them/);
    assertEquals((await plasma([...args, "--target", site.at("target")])).code, 0);
    await sh("umount", over);
  },
);

btrfsTest("row 69: a FUSE filesystem of an unknown type is archived, or named", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  await using _ = await mountDead(site, "btrfs/data/dead");
  const { code, lastLine, stderr } = await site.backUp(["btrfs/data"]);
  assertEquals(code, 3, stderr);
  assertMatch(lastLine, /btrfs\/data\/dead is left out: it does not answer/);
}, ["program python3"]);
