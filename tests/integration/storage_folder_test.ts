import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { fingerprints, sha256Of } from "../support/storage.ts";

const modeOf = (path: string) => (Deno.lstatSync(path).mode! & 0o7777).toString(8);

Deno.test("the first backup --to a new folder makes it, with a policy, and says so", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.at("my-backups");

  const first = await plasma(["backup", "--to", storage, folder.at("data")]);
  assertEquals(first.code, 0, first.stderr);
  assertStringIncludes(first.stderr, `made the storage folder ${storage}`);
  assertStringIncludes(first.stderr, `${storage}/plasma-rotate.json`);
  assertEquals(modeOf(storage), "700");

  const second = await plasma(["backup", "--to", storage, folder.at("data")]);
  assertEquals(second.code, 0, second.stderr);
  assertEquals(second.stderr.includes("made the storage folder"), false);
  assertEquals(archivesIn(storage).length, 2);
  const rotate = await plasma(["rotate", storage]);
  assertEquals(rotate.code, 0, rotate.stderr);
});

Deno.test("an empty folder becomes a storage folder too", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  Deno.mkdirSync(folder.at("empty"));
  const { code, stderr } = await plasma(["backup", "--to", folder.at("empty"), folder.at("data")]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "made the storage folder");
});

Deno.test("a folder that is not empty and has no policy is refused and stays as it is", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  folder.write("full/letter", "dear");
  const { code, lastLine } = await plasma(["backup", "--to", folder.at("full"), folder.at("data")]);
  assertEquals(code, 2);
  assertStringIncludes(lastLine, `${folder.at("full")} is no storage folder`);
  assertEquals(namesIn(folder.at("full")), ["letter"]);
});

Deno.test("a link to a storage folder is as good as the folder", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  Deno.symlinkSync("storage", folder.at("link"));
  const { code, stderr } = await plasma(["backup", "--to", folder.at("link"), folder.at("data")]);
  assertEquals(code, 0, stderr);
  assertEquals(archivesIn(storage).length, 1);
});

Deno.test("a folder whose parent is missing is not made", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const { code, lastLine } = await plasma(["backup", "--to", folder.at("a/b"), folder.at("data")]);
  assertEquals(code, 2);
  assertStringIncludes(lastLine, "the folder above it does not exist");
  assertEquals(namesIn(folder.path), ["data"]);
});

for (const wrong of [["--tempfile", ""], ["--retries", "many"], ["--exclude", ""]]) {
  Deno.test(`backup --to makes no folder when ${wrong.join(" ")} is wrong`, async () => {
    using folder = new TemporaryFolder();
    const { code } = await plasma(["backup", "--to", folder.at("new"), ...wrong, "/etc/hostname"]);
    assertEquals([code, namesIn(folder.path)], [2, []]);
  });
}

Deno.test("init makes a storage folder once, and never changes one", async () => {
  using folder = new TemporaryFolder();
  const path = folder.at("storage");
  const made = await plasma(["init", path]);
  assertEquals(made.code, 0, made.stderr);
  const policy = await sha256Of(`${path}/plasma-rotate.json`);
  const again = await plasma(["init", "--json", path]);
  assertEquals(again.code, 0, again.stderr);
  assertEquals(JSON.parse(again.stdout), { folder: path, created: false });
  assertEquals(await sha256Of(`${path}/plasma-rotate.json`), policy);

  folder.write("full/letter", "dear");
  assertEquals((await plasma(["init", folder.at("full")])).code, 2);
});

Deno.test("backup --json prints the result and nothing else to standard output", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const { code, stdout, stderr } = await plasma(
    ["backup", "--json", "--to", storage, folder.at("data")],
  );
  assertEquals(code, 0, stderr);
  const { seconds, ...result } = JSON.parse(stdout);
  const [archive] = archivesIn(storage);
  assertEquals(result, {
    status: 0,
    archive,
    bytes: Deno.statSync(`${storage}/${archive}`).size,
    sha256: await sha256Of(`${storage}/${archive}`),
    folders: [{ folder: folder.at("data"), entries: 2, bytes: 7 }],
    warnings: [],
    deleted: [],
    error: null,
  });
  assertEquals(seconds > 0, true);
});

Deno.test("backup --json tells a failure too", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const { code, stdout, lastLine } = await plasma(
    ["backup", "--json", "--to", storage, folder.at("missing")],
  );
  const { status, archive, error } = JSON.parse(stdout);
  assertEquals([code, status, archive], [1, 1, null]);
  assertStringIncludes(error, folder.at("missing"));
  assertStringIncludes(lastLine, error);
});

Deno.test("backup --dry-run shows what would be archived, and touches nothing", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.at("storage");
  const args = ["backup", "--dry-run", "--to", storage, folder.at("data")];
  const text = await plasma(args);
  assertEquals(text.code, 0, text.stderr);
  assertStringIncludes(text.stdout, folder.at("data"));
  assertStringIncludes(text.stdout, storage);
  const json = JSON.parse((await plasma([...args, "--json"])).stdout);
  assertEquals(json.destination, storage);
  assertEquals(json.folders.map((row: { folder: string }) => row.folder), [folder.at("data")]);
  assertEquals(namesIn(folder.path), ["data"]);
});

Deno.test("list shows archives oldest first, and names what is none", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  for (const name of ["20250105-0000-daily.tar", "20241231-235959-yearly.tar.zst.age"]) {
    folder.write(`storage/${name}`, "x".repeat(2048));
  }
  folder.write("storage/notes.txt", "foreign");
  folder.write("storage/20241231-235959-yearly.tar.zst.age.sha256", "...");

  const before = await fingerprints(storage);
  const { code, stdout, stderr } = await plasma(["list", "--from", storage]);
  assertEquals(code, 0, stderr);
  const [first, second] = stdout.trimEnd().split("\n");
  assertMatch(
    first!,
    /^20241231-235959-yearly\.tar\.zst\.age +2024-12-31 23:59:59 +yearly +tar\.zst\.age +2 kiB +complete$/,
  );
  assertMatch(
    second!,
    /^20250105-0000-daily\.tar +2025-01-05 00:00:00 +daily +tar +2 kiB +no checksum$/,
  );
  assertStringIncludes(stderr, "notes.txt");

  const { archives, foreign } = JSON.parse(
    (await plasma(["list", "--json", "--from", storage])).stdout,
  );
  assertEquals(foreign, ["notes.txt"]);
  assertEquals(archives[1], {
    name: "20250105-0000-daily.tar",
    time: "2025-01-05T00:00:00",
    label: "daily",
    kind: "tar",
    bytes: 2048,
    state: "no checksum",
  });
  assertEquals(await fingerprints(storage), before);
});

Deno.test("list of an empty storage folder says that there is nothing", async () => {
  using folder = new TemporaryFolder();
  const { code, stdout, stderr } = await plasma(["list", "--from", folder.storage("storage")]);
  assertEquals([code, stdout], [0, ""]);
  assertStringIncludes(stderr, "no archives");
});
