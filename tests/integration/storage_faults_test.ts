import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { Mount } from "../support/mounts.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import {
  assertNothingLeft,
  slowly,
  untilMidUpload,
  writeConfig,
  writeLargeData,
} from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify, fingerprints } from "../support/storage.ts";

for (const way of ["local", "ssh"] as const) {
  for (const kind of ["tmpfs", "ext4"] as const) {
    testThatNeeds(
      ["root"],
      `a full storage (${way}, ${kind}) fails the run and keeps what is there (row 31)`,
      async () => {
        using folder = new TemporaryFolder();
        await using sshd = await Sshd.start();
        const storage = folder.at("storage");
        await using _ = kind === "tmpfs"
          ? await Mount.tmpfs(storage, 24)
          : await Mount.ext4(folder.at("image"), storage, 24);
        folder.storage("storage");
        if (kind === "ext4") Deno.removeSync(`${storage}/lost+found`);
        folder.write("data/file", "content");
        const destination = way === "ssh" ? sshd.destination(storage) : [storage];
        const args = ["backup", "--to", ...destination, folder.at("data")];
        assertEquals((await plasma(args)).code, 0);
        const before = await fingerprints(storage);

        writeLargeData(folder);
        const { code, lastLine } = await plasma(args);
        assertEquals(code, 1);
        assertMatch(lastLine, /no space left on the device/);
        assertEquals(await fingerprints(storage), before);
        await assertNothingLeft(storage, destination[0]);

        Deno.removeSync(folder.at("data/large"));
        const next = await plasma(args);
        assertEquals(next.code, 0, next.stderr);
        await assertAllVerify(storage);
      },
    );
  }
}

testThatNeeds(
  ["root"],
  "a storage without a free inode fails the run and keeps what is there (row 31)",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.at("storage");
    await using _ = await Mount.tmpfs(storage, 16, "nr_inodes=12");
    folder.storage("storage");
    folder.write("data/file", "content");
    const args = ["backup", "--to", storage, folder.at("data")];
    const codes = [];
    for (let run = 0; run < 5; run++) {
      const { code, stdout, stderr } = await plasma(args);
      codes.push(code);
      if (code === 0) assertEquals(archivesIn(storage).includes(stdout.trimEnd()), true);
      else assertMatch(stderr, /no space left on the device/);
      await assertAllVerify(storage);
      await assertNothingLeft(storage);
    }
    assertEquals(codes.filter((code) => code === 0).length, archivesIn(storage).length);
    assertEquals([codes[0], codes.at(-1)], [0, 1]);
  },
);

testThatNeeds(["root"], "a read-only storage fails the run (row 31)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.at("storage");
  await using _ = await Mount.tmpfs(storage, 8);
  folder.storage("storage");
  folder.write("data/file", "content");
  const args = ["backup", "--to", storage, folder.at("data")];
  assertEquals((await plasma(args)).code, 0);
  const before = await fingerprints(storage);
  await sh("mount", "-o", "remount,ro", storage);
  for (const wrong of [args, ["rotate", storage]]) {
    const { code, lastLine } = await plasma(wrong);
    assertEquals(code, 1);
    assertStringIncludes(lastLine, "the filesystem is read-only");
  }
  assertEquals(await fingerprints(storage), before);
  assertEquals((await plasma(["list", "--from", storage])).code, 0);
  assertEquals((await plasma(["rotate", "--dry-run", storage])).code, 0);
});

for (const way of ["local", "ssh"] as const) {
  for (const what of ["missing", "without policy"]) {
    Deno.test(`a storage folder that is ${what} (${way}) fails the run before any hook (row 32)`, async () => {
      using folder = new TemporaryFolder();
      await using sshd = await Sshd.start();
      folder.write("data/file", "content");
      if (what === "without policy") Deno.mkdirSync(folder.at("storage"));
      const config = writeConfig(folder, folder.at("storage"), {
        ...(way === "ssh" ? { ssh: sshd.settings } : {}),
        executeBefore: [`: >${folder.at("hook-ran")}`],
      });
      const before = namesIn(folder.path);
      const { code, lastLine } = await plasma(["backup", "--config", config]);
      assertEquals([code, namesIn(folder.path)], [1, before]);
      assertMatch(lastLine, /is its disk mounted\?/);
      assertStringIncludes(lastLine, `plasma init ${folder.at("storage")}`);
      assertEquals(namesIn(folder.at("storage")), []);
    });
  }
}

Deno.test("a storage that goes away in the middle of an upload gets no archive", async () => {
  using folder = new TemporaryFolder();
  const data = writeLargeData(folder, 16 << 20);
  const storage = folder.storage("storage");
  const { output } = startPlasma(["backup", "--to", storage, ...slowly, data]);
  await untilMidUpload(storage);
  Deno.removeSync(`${storage}/plasma-rotate.json`);
  const { code, lastLine } = await output;
  assertEquals([code, archivesIn(storage)], [1, []]);
  assertStringIncludes(lastLine, "no plasma-rotate.json");
});

/** Names that a run could give in the next minutes, each taken by something. */
function takeNames(storage: string, take: (path: string) => void): string[] {
  const now = Temporal.Now.plainDateTimeISO();
  const names = [0, 1, 2].flatMap((minutes) => {
    const digits = now.add({ minutes }).toString().replaceAll(/[-:T]/g, "");
    return ["daily", "weekly", "monthly", "yearly"].map((label) =>
      `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${label}.tar`
    );
  });
  for (const name of names) take(`${storage}/${name}`);
  return names;
}

const takers: readonly (readonly [what: string, take: (path: string) => void])[] = [
  ["file", (path) => Deno.writeTextFileSync(path, "precious")],
  ["folder", (path) => Deno.mkdirSync(path)],
  ["dangling link", (path) => Deno.symlinkSync("../nowhere", path)],
  ["link to a file", (path) => Deno.symlinkSync("../victim", path)],
  ["sidecar without archive", (path) => Deno.writeTextFileSync(`${path}.sha256`, "precious")],
];

for (const [what, take] of takers) {
  Deno.test(`a ${what} under the final name is never overwritten (row 34)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    folder.write("victim", "precious");
    const storage = folder.storage("storage", { daily: 100 });
    takeNames(storage, take);
    const states = () => sh("find", storage, "-name", "2*", "-printf", "%f %i %s %y %T@ %l\n");
    const before = (await states()).split("\n");
    const { code, stdout, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^\d{8}-\d{6}-[a-z]+\.tar\n$/);
    const after = (await states()).split("\n");
    assertEquals(before.filter((line) => !after.includes(line)), []);
    await sh(
      "sh",
      "-c",
      'cd "$0" && sha256sum --check --strict "$1".sha256',
      storage,
      stdout.trimEnd(),
    );
    assertEquals(Deno.readTextFileSync(folder.at("victim")), "precious");
    assertEquals(namesIn(folder.path), ["data", "storage", "victim"]);
  });
}
