import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { claimOf, request, runId, serve } from "../support/serve.ts";
import { sh } from "../support/sh.ts";
import { Sshd } from "../support/sshd.ts";
import { fingerprints } from "../support/storage.ts";

const verbs = ["hello", "store", "commit", "abort", "list", "fetch", "verify", "rotate"];
const matrix: readonly (readonly [allow: string, verbs: readonly string[]])[] = [
  ["store", ["hello", "store", "commit", "abort"]],
  ["read", ["hello", "list", "fetch", "verify"]],
  ["rotate", ["hello", "rotate"]],
  ["store,rotate", ["hello", "store", "commit", "abort", "rotate"]],
  ["list", ["list"]],
  ["hello", ["hello"]],
  ["", []],
];

for (const [allow, allowed] of matrix) {
  Deno.test(`--allow "${allow}" allows ${allowed.join(", ") || "nothing"}, and no other verb (row 37)`, async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage", { daily: 1 });
    for (const day of [1, 2]) folder.write(`storage/2020010${day}-0000-daily.tar`, "x");
    const before = await fingerprints(storage);
    const name = "20200102-0000-daily.tar";
    const parameters = { folder: storage, run: runId(), name, kind: "tar", ...claimOf("x") };
    for (const verb of [...verbs, "receive", "delete", "overwrite"]) {
      const { ok, message } = await serve(request(verb, parameters, "x"), [`--allow=${allow}`]);
      if (allowed.includes(verb)) assertEquals([verb, ok, message], [verb, true, ""]);
      else {
        const isVerb = verbs.includes(verb) || verb === "receive";
        assertMatch(message, isVerb ? /this key may not/ : /verb must be one of/);
      }
    }
    const after = await fingerprints(storage);
    const isRotated = before.some((line) => !after.includes(line));
    assertEquals(isRotated, allowed.includes("rotate"));
  });
}

Deno.test("--root confines every verb to its folder (row 36)", async () => {
  using folder = new TemporaryFolder();
  const root = folder.at("backup/web1");
  folder.storage("backup/web1/deeper");
  for (const name of ["web10", "web", "other"]) {
    folder.storage(`backup/${name}`);
    folder.write(`backup/${name}/20200101-0000-daily.tar`, "secret");
  }
  Deno.symlinkSync("../web10", `${root}/link`);
  Deno.symlinkSync(".", `${root}/self`);
  const states = () =>
    sh("find", folder.path, "-path", root, "-prune", "-o", "-printf", "%p %i %T@\n");
  const before = await states();

  const outside = [
    folder.at("backup/web10"),
    folder.at("backup/web"),
    folder.at("backup"),
    `${root}/../web10`,
    `${root}/..`,
    `${root}/link`,
    `${root}/self/self/link`,
    "/",
    "",
    "web10",
    "../web10",
    `${root}\n`,
    `${root}\0/../web10`,
    "/etc",
    folder.at("backup/missing"),
    `${root}/missing`,
  ];
  for (const path of outside) {
    for (const verb of verbs) {
      const name = "20200101-0000-daily.tar";
      const parameters = { folder: path, run: runId(), name, kind: "tar", ...claimOf("x") };
      const { ok, message } = await serve(request(verb, parameters, "x"), ["--root", root]);
      assertEquals(ok, false, `${verb} ${path}`);
      assertEquals(message.includes("secret"), false);
      if (path !== "") assertStringIncludes(message, "there is no storage folder");
    }
  }
  assertEquals(await states(), before);

  for (const path of ["deeper", "deeper/", "/deeper", "self/deeper", "./deeper"]) {
    const list = request("list", { folder: `${root}/${path}` });
    assertEquals((await serve(list, ["--root", root])).ok, true, path);
  }
});

Deno.test("--root may be a link itself", async () => {
  using folder = new TemporaryFolder();
  folder.storage("disk/web1");
  Deno.symlinkSync("disk", folder.at("backup"));
  const flags = ["--root", folder.at("backup/web1")];
  for (const path of ["backup/web1", "disk/web1"]) {
    assertEquals((await serve(request("list", { folder: folder.at(path) }), flags)).ok, true);
  }
});

Deno.test("a key pinned to store can back up, and do nothing else (row 37)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage", { daily: 1 });
  for (const day of [1, 2]) folder.write(`storage/2020010${day}-0000-daily.tar`, "x");
  const before = await fingerprints(storage);
  await using sshd = await Sshd.start({
    forcedOptions: `command="${plasmaProgram} serve --root ${storage} --allow store",restrict`,
  });
  const destination = sshd.destination(storage);
  const backup = await plasma(["backup", "--to", ...destination, folder.at("data")]);
  assertEquals(backup.code, 0, backup.stderr);
  assertStringIncludes(backup.stderr, "rotation is left to the storage host");
  const list = await plasma(["list", "--from", ...destination]);
  assertEquals(list.code, 1);
  assertStringIncludes(list.lastLine, "this key may not list");
  const after = await fingerprints(storage);
  assertEquals(after.slice(0, 2), before);
  assertEquals(archivesIn(storage), [
    ...before.map((line) => line.split(" ")[0]),
    backup.stdout.trimEnd(),
  ]);

  const elsewhere = folder.storage("elsewhere");
  const outside = await plasma([
    "backup",
    "--to",
    ...sshd.destination(elsewhere),
    folder.at("data"),
  ]);
  assertEquals([outside.code, namesIn(elsewhere)], [1, ["plasma-rotate.json"]]);
});
