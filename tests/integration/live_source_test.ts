import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { assertNothingLeft, slowly, untilMidUpload, writeLargeData } from "../support/runs.ts";
import { testThatNeeds } from "../support/skip.ts";
import { assertAllVerify, membersOf } from "../support/storage.ts";

Deno.test("a missing folder fails the run before an upload, and nothing is rotated (row 5)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage", { daily: 1 });
  for (const day of [1, 2, 3]) folder.write(`storage/2020010${day}-0000-daily.tar`, "x");
  const before = namesIn(storage);
  const folders = ["data", "missing", "neither"].map((name) => folder.at(name));
  const { code, lastLine } = await plasma(["backup", "--to", storage, ...folders]);
  assertEquals([code, namesIn(storage)], [1, before]);
  assertMatch(lastLine, /\/missing does not exist, .*\/neither does not exist/);
});

Deno.test("a configured folder that is a link is archived as a link, and that is said", async () => {
  using folder = new TemporaryFolder();
  folder.write("target/file", "content");
  Deno.symlinkSync("target", folder.at("data"));
  const storage = folder.storage("storage");
  const { code, stderr } = await plasma(["backup", "--to", storage, folder.at("data")]);
  assertEquals(code, 0);
  assertStringIncludes(stderr, `${folder.at("data")} is a symbolic link to target`);
});

/** What may happen to files while tar reads them, and what is said of it. */
const changes: readonly (readonly [what: string, change: (data: string) => void, RegExp])[] = [
  ["grows", (data) => {
    Deno.writeTextFileSync(`${data}/large`, "more", { append: true });
  }, /large: file changed as we read it/],
  ["shrinks", (data) => Deno.truncateSync(`${data}/large`, 5), /large: File shrank by/],
  ["vanishes", (data) => {
    for (const name of namesIn(data)) Deno.removeSync(`${data}/${name}`);
  }, /file\d+: File removed before we read it/],
];

for (const [what, change, message] of changes) {
  Deno.test(`a file that ${what} while it is read is named, and the archive stored (row 8)`, async () => {
    using folder = new TemporaryFolder();
    if (what !== "vanishes") writeLargeData(folder, 32 << 20);
    else {for (let n = 0; n < 16; n++) {
        folder.write(`data/file${n}`, new Uint8Array(2 << 20).fill(7));
      }}
    const storage = folder.storage("storage");
    const run = startPlasma(["backup", "--json", "--to", storage, ...slowly, folder.at("data")]);
    await untilMidUpload(storage);
    change(folder.at("data"));
    const { code, stdout, stderr } = await run.output;
    assertEquals(code, 3, stderr);
    const { archive, warnings } = JSON.parse(stdout);
    assertMatch(warnings.join("\n"), message);
    assertMatch(stderr, message);
    assertEquals(archivesIn(storage), [archive]);
    await assertAllVerify(storage);
    await membersOf(`${storage}/${archive}`);
  });
}

testThatNeeds(
  ["root", "program setpriv"],
  "an unreadable file fails the run and is named (row 9)",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    folder.write("data/secret", "content");
    Deno.chmodSync(folder.at("data/secret"), 0);
    const storage = folder.storage("storage");
    const { code, lastLine } = await plasma(["backup", "--to", storage, folder.at("data")], {
      through: ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"],
    });
    assertEquals([code, archivesIn(storage)], [1, []]);
    assertMatch(lastLine, /data\/secret: Cannot open: Permission denied/);
    await assertNothingLeft(storage);
  },
);

testThatNeeds(
  ["root", "program strace"],
  "a read error fails the run and names the file (row 9)",
  async () => {
    using folder = new TemporaryFolder();
    const bad = folder.write("data/bad-sectors", new Uint8Array(1 << 20).fill(7));
    const storage = folder.storage("storage");
    const inject = ["-e", "trace=read", "-e", "inject=read:error=EIO", "-P", bad];
    const { code, lastLine } = await plasma(["backup", "--to", storage, folder.at("data")], {
      through: ["strace", "-f", "-q", "-o", folder.at("trace"), ...inject],
    });
    assertEquals([code, archivesIn(storage)], [1, []]);
    assertMatch(lastLine, /data\/bad-sectors: .*Input\/output error/);
  },
);
