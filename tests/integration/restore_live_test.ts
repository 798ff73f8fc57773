import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { backUp, walk } from "../support/archives.ts";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { HostileSite } from "../support/hostile.ts";
import { Mount } from "../support/mounts.ts";
import { plasma, type PlasmaOptions, startPlasma, untilEnded } from "../support/plasma.ts";
import { descendant, measuringMemory } from "../support/processes.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

/** Restores into the place where the files came from: row 78. */

/** A live folder with links, and an archive of it. */
async function live() {
  const folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("data/etc/conf", "good");
  folder.write("data/etc/below/conf", "good");
  folder.write("data/big/file", "good");
  Deno.symlinkSync("conf", folder.at("data/etc/link"));
  Deno.symlinkSync("/nowhere", folder.at("data/etc/dangling"));
  const name = await backUp([storage], folder.at("data"));
  const restore = async (paths: readonly string[], target = "/", options: PlasmaOptions = {}) =>
    await plasma([
      "restore",
      name,
      ...paths.map((path) => folder.at(path)),
      "--from",
      storage,
      "--target",
      target,
      "--into-existing",
    ], options);
  return { folder, restore, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const needs = ["root", "program python3"] as const;

testThatNeeds(needs, "row 78: what was lost comes back into the live place", async () => {
  using site = await live();
  const before = await walk(site.folder.at("data"));
  for (const paths of [["data"], ["data/etc", "data/big"]]) {
    Deno.removeSync(site.folder.at("data/etc/below"), { recursive: true });
    site.folder.write("data/etc/conf", "bad");
    Deno.removeSync(site.folder.at("data/etc/link"));
    Deno.symlinkSync("/tmp", site.folder.at("data/etc/link"));
    const { code, stderr } = await site.restore(paths);
    assertEquals(code, 0, stderr);
    assertEquals(await walk(site.folder.at("data")), before);
  }
});

testThatNeeds(needs, "row 78: a folder that is gone altogether comes back", async () => {
  using site = await live();
  const before = await walk(site.folder.at("data"));
  Deno.removeSync(site.folder.at("data"), { recursive: true });
  const { code, stderr } = await site.restore(["data"]);
  assertEquals(code, 0, stderr);
  assertEquals(await walk(site.folder.at("data")), before);
});

testThatNeeds(needs, "row 78: a link in the way of a folder is reported and stays", async () => {
  using site = await live();
  const { folder } = site;
  const big = folder.at("data/big");
  Deno.renameSync(big, folder.at("moved"));
  folder.write("data/etc/conf", "newer");
  const through = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
  for (const to of ["../moved", folder.at("moved"), "/nowhere"]) {
    Deno.symlinkSync(to, big);
    for (const paths of to === "/nowhere" ? [[]] : [["data"], ["data/big/file"]]) {
      const { code, lastLine } = await site.restore(paths);
      assertEquals(code, 2, lastLine);
      assertStringIncludes(lastLine, `${big.slice(1)}; nothing was unpacked`);
      assertEquals(Deno.readLinkSync(big), to);
      assertEquals(Deno.readTextFileSync(folder.at("data/etc/conf")), "newer");
    }
    const other = await site.restore(["data/etc/below"]);
    assertEquals(other.code, 0, other.stderr);
    const unsafe = await site.restore(["data/etc/below"], "/", { through });
    assertEquals(unsafe.code, 2);
    assertStringIncludes(unsafe.lastLine, "CAP_SYS_ADMIN");
    Deno.removeSync(big);
  }
  assertEquals(namesIn(folder.at("moved")), ["file"]);
});

testThatNeeds(needs, "row 78: links of others that are not in the way do not matter", async () => {
  using site = new HostileSite();
  await site.put(1, 'folder("d"); add("d/good")');
  site.folder.write("target/d/own", "");
  Deno.symlinkSync(site.outside, `${site.target}/l`);
  Deno.symlinkSync("/proc/self/root", `${site.target}/d/good`);
  const { code, stderr } = await site.restore("latest", "--into-existing");
  assertEquals(code, 0, stderr);
  site.assertUntouched();
  assertEquals([namesIn(site.target), namesIn(`${site.target}/d`)], [["d", "l"], ["good", "own"]]);
  assert(Deno.lstatSync(`${site.target}/d/good`).isFile);
});

testThatNeeds(needs, "row 54: no link is followed on a mount in the target either", async () => {
  using site = new HostileSite();
  Deno.mkdirSync(site.target);
  await using outer = await Mount.tmpfs(`${site.target}/a b\\c%d`, 4, "nosuid,nodev,noexec");
  await using _inner = await Mount.tmpfs(`${outer.path}/ü`, 4);
  // Two mounts at one place.
  await using _stacked = await Mount.tmpfs(`${outer.path}/ü`, 4);
  // Who mounts it can give it a name that ends with newlines.
  await using _odd = await Mount.tmpfs(`${site.target}/odd\n\n`, 4);
  await site.put(
    1,
    `add("a b\\\\c%d/good"); add("a b\\\\c%d/ü/good"); ` +
      `symlink("a b\\\\c%d/ü/l", "m"); symlink("a b\\\\c%d/ü/m", "OUT"); add("a b\\\\c%d/ü/l/evil")`,
  );
  const { code, lastLine } = await site.restore("latest", "--into-existing");
  site.assertUntouched();
  assertEquals(code, 1);
  assertMatch(lastLine, /l\/evil: Cannot open: .*no symbolic link/);
  assertEquals([namesIn(outer.path), namesIn(`${outer.path}/ü`)], [["good", "ü"], [
    "good",
    "l",
    "m",
  ]]);
  assertEquals(Deno.readTextFileSync(`${outer.path}/ü/good`), "evil");
});

testThatNeeds(needs, "row 54: mounts keep their flags and nothing is left mounted", async () => {
  using site = new HostileSite();
  Deno.mkdirSync(site.target);
  await using mount = await Mount.tmpfs(`${site.target}/closed`, 4);
  await sh("mount", "-o", "remount,bind,ro", mount.path);
  const before = Deno.readTextFileSync("/proc/self/mountinfo");
  await site.put(1, 'add("good"); add("closed/evil")');
  const { code, lastLine } = await site.restore("latest", "--into-existing");
  assertEquals(code, 1);
  assertMatch(lastLine, /closed\/evil: Cannot open: Read-only file system/);
  assertEquals(namesIn(site.target), ["closed", "good"]);
  assertEquals(Deno.readTextFileSync("/proc/self/mountinfo"), before);
});

Deno.test("row 78: without root, too, a link in the way of a folder stays", async () => {
  using site = await live();
  const { folder } = site;
  const through = Deno.uid() === 0
    ? ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    : [];
  const target = folder.at("target");
  const there = `${target}${folder.at("data")}`;
  Deno.mkdirSync(there, { recursive: true });
  Deno.mkdirSync(`${target}/elsewhere`);
  Deno.symlinkSync(`${target}/elsewhere`, `${there}/big`);
  const refused = await site.restore([], target, { through });
  assertEquals([refused.code, namesIn(`${target}/elsewhere`)], [2, []], refused.stderr);
  assertStringIncludes(refused.lastLine, "data/big");
  const rest = await site.restore(["data/etc"], target, { through });
  assertEquals(rest.code, 0, rest.stderr);
  assertEquals(Deno.readLinkSync(`${there}/big`), `${target}/elsewhere`);
});

/** Makes a row of folders with long names, and many links at its end. */
const deepLinks = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(15):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
for n in range(int(sys.argv[2])): os.symlink("nowhere", f"{n:06}" + "l" * 150)`;

testThatNeeds(
  ["program python3"],
  "row 54: links of others do not cost a restore memory",
  async () => {
    using site = new HostileSite();
    await site.put(1, 'add("home/file")');
    Deno.mkdirSync(`${site.target}/home`, { recursive: true });
    await sh("python3", "-c", deepLinks, `${site.target}/home`, "40000");
    const { code, stderr } = await site.restoreInto(site.target, ["latest", "--into-existing"], {
      through: measuringMemory,
    });
    assertEquals(code, 0, stderr);
    const kilobytes = Number(stderr.trimEnd().split("\n").at(-1));
    assert(kilobytes > 10_000 && kilobytes < 400_000, `${kilobytes} KiB`);
  },
);

/** Makes an archive of one member, of a terabyte that takes no room. */
const hugeMember = `
import sys, tarfile
info = tarfile.TarInfo("huge")
info.size = 1 << 40
with open(sys.argv[1], "wb") as file:
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    file.truncate((1 << 40) + 512 * 3)`;

testThatNeeds(
  ["program python3"],
  "row 54: a restore that is told to end does not read on",
  async () => {
    using site = new HostileSite();
    await sh("python3", "-c", hugeMember, `${site.storage}/20250101-0000-daily.tar`);
    const { child, output } = startPlasma(
      ["restore", "latest", "good", "--from", site.storage, "--target", site.target],
    );
    await descendant(child.pid, /tar .*--extract/);
    child.kill("SIGTERM");
    try {
      await untilEnded(output, 30);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    assertEquals((await output).code, 143);
  },
);
