import { assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { slowly, untilMidUpload, writeConfig, writeLargeData } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify, membersOf } from "../support/storage.ts";

/** "f600 name" or "d700 name" for everything that plasma has made in a storage folder. */
async function modesIn(storage: string): Promise<string[]> {
  const text = await sh("find", storage, "-mindepth", "1", "-printf", "%y%m %P\\n");
  return text.trimEnd().split("\n").filter((line) => !line.endsWith(" plasma-rotate.json")).sort();
}

for (const umask of ["000", "777", "077"]) {
  Deno.test(`files are 0600 and folders 0700 with umask ${umask} (row 10)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const through = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
    const init = await plasma(["init", folder.at("storage")], { through });
    assertEquals(init.code, 0, init.stderr);
    const modes = await sh(
      "stat",
      "-c",
      "%a",
      folder.at("storage"),
      `${folder.at("storage")}/plasma-rotate.json`,
    );
    assertEquals(modes, "700\n600\n");
    const { code, stdout, stderr } = await plasma(
      ["backup", "--to", folder.at("storage"), folder.at("data")],
      { through },
    );
    assertEquals(code, 0, stderr);
    const name = stdout.trimEnd();
    assertEquals(await modesIn(folder.at("storage")), [
      "d700 .plasma",
      "d700 .plasma/incoming",
      "f600 .plasma/journal.jsonl",
      "f600 .plasma/lock",
      `f600 ${name}`,
      `f600 ${name}.sha256`,
    ]);
    assertEquals(await sh("stat", "-c", "%a", "/run/plasma"), "700\n");
  });
}

Deno.test("the tempfile is 0600 with umask 000, and gone afterwards (row 10)", async () => {
  using folder = new TemporaryFolder();
  writeLargeData(folder, 16 << 20);
  const [storage, tempfile] = [folder.storage("storage"), folder.at("staged")];
  const { output } = startPlasma(
    ["backup", "--to", storage, "--tempfile", tempfile, ...slowly, folder.at("data")],
    { through: ["sh", "-c", 'umask 000; exec "$@"', "sh"] },
  );
  await untilMidUpload(storage);
  const { mode, size } = Deno.lstatSync(tempfile);
  assertEquals([mode! & 0o7777, size > 16 << 20], [0o600, true]);
  const { code, stderr } = await output;
  assertEquals(code, 0, stderr);
  assertEquals(namesIn(folder.path), ["data", "storage"]);
});

for (const what of ["link", "dangling link", "folder", "fifo"]) {
  Deno.test(`a tempfile that is a ${what} is neither followed nor replaced`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    folder.write("victim", "precious");
    const [storage, tempfile] = [folder.storage("storage"), folder.at("staged")];
    if (what === "folder") Deno.mkdirSync(tempfile);
    else if (what === "fifo") await sh("mkfifo", tempfile);
    else Deno.symlinkSync(what === "link" ? folder.at("victim") : "nowhere", tempfile);
    const { ino } = Deno.lstatSync(tempfile);
    const args = ["backup", "--to", storage, "--tempfile", tempfile, folder.at("data")];
    const { code, lastLine } = await plasma(args);
    assertEquals([code, archivesIn(storage)], [1, []]);
    assertStringIncludes(lastLine, `tempfile ${tempfile} exists and is not a regular file`);
    assertEquals(Deno.lstatSync(tempfile).ino, ino);
    assertEquals(Deno.readTextFileSync(folder.at("victim")), "precious");
  });
}

Deno.test("a tempfile that a killed run has left is replaced, never written through", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  folder.write("victim", "precious");
  const [storage, tempfile] = [folder.storage("storage"), folder.at("staged")];
  Deno.linkSync(folder.at("victim"), tempfile);
  const { code, stderr } = await plasma(
    ["backup", "--to", storage, "--tempfile", tempfile, folder.at("data")],
  );
  assertEquals(code, 0, stderr);
  assertEquals(Deno.readTextFileSync(folder.at("victim")), "precious");
  await assertAllVerify(storage);
});

for (const umask of ["000", "777"]) {
  Deno.test(`what comes over SSH is 0600 with umask ${umask} on the storage host (row 10)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const script = `umask ${umask}; exec $SSH_ORIGINAL_COMMAND`;
    await using sshd = await Sshd.start({ forcedOptions: `command="${script}"` });
    const { code, stdout, stderr } = await plasma(
      ["backup", "--to", ...sshd.destination(storage), folder.at("data")],
    );
    assertEquals(code, 0, stderr);
    const modes = await modesIn(storage);
    assertEquals(modes.includes(`f600 ${stdout.trimEnd()}`), true, modes.join());
    assertEquals(modes.filter((line) => !/^(f600|d700) /.test(line)), []);
  });
}

Deno.test("the environment cannot change what is archived, nor keep programs from starting", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  folder.write("data/other", "content");
  await using sshd = await Sshd.start();
  for (const overSsh of [false, true]) {
    const storage = folder.storage(`storage ${overSsh}`);
    const destination = overSsh ? sshd.destination(storage) : [storage];
    const { code, stdout, stderr } = await plasma([
      "backup",
      "--to",
      ...destination,
      folder.at("data"),
    ], {
      environment: {
        TAR_OPTIONS: "--exclude=file --no-recursion",
        LD_LIBRARY_PATH: "/nowhere",
        POSIXLY_CORRECT: "1",
        LC_ALL: "de_DE.UTF-8",
        GIT_SSH_COMMAND: `touch ${folder.at("executed")}`,
        NODE_OPTIONS: "--require /nowhere",
        TAPE: "/dev/nowhere",
      },
    });
    assertEquals(code, 0, stderr);
    const members = await membersOf(`${storage}/${stdout.trimEnd()}`);
    assertEquals(members.length, 3);
    await assertAllVerify(storage);
  }
  assertEquals(namesIn(folder.path).includes("executed"), false);
});

Deno.test("hooks get no variables that the program did not name", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const config = writeConfig(folder, folder.storage("storage"), {
    executeBefore: [`env >${folder.at("environment")}`],
  });
  const { code, stderr } = await plasma(["backup", "--config", config], {
    environment: { SECRET_TOKEN: "x", LD_PRELOAD_X: "x", TAR_OPTIONS: "x" },
  });
  assertEquals(code, 0, stderr);
  const names = Deno.readTextFileSync(folder.at("environment")).matchAll(/^([A-Z_]+)=/gm);
  const known =
    /^(HOME|LOGNAME|PATH|SHELL|SSH_AUTH_SOCK|TERM|TMPDIR|TZ|USER|XDG_RUNTIME_DIR|LC_ALL|PWD|OLDPWD|SHLVL|_|PLASMA_[A-Z]+)$/;
  assertEquals([...names].map(([, name]) => name!).filter((name) => !known.test(name)), []);
});
