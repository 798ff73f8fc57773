import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { assertNothingLeft, writeConfig } from "../support/runs.ts";
import { sh } from "../support/sh.ts";

/** What the program and its launcher start. */
const tools = ["cat", "flock", "mkfifo", "setsid", "sh", "ssh", "tar", "timeout"];
const launcherTools = ["readlink", "stat", "getent", "id", "cut", "uname", "mkdir", "env"];

/** A folder for PATH with these programs and no others. */
async function folderWith(folder: TemporaryFolder, programs: readonly string[]): Promise<string> {
  Deno.mkdirSync(folder.at("bin"));
  for (const program of programs) {
    const path = (await sh("sh", "-c", `command -v ${program}`)).trimEnd();
    Deno.symlinkSync(path, folder.at(`bin/${program}`));
  }
  return folder.at("bin");
}

/** The Debian package of each tool, as the message has to name it. */
const packages: Record<string, string> = {
  cat: "coreutils",
  flock: "util-linux",
  mkfifo: "coreutils",
  tar: "tar",
  setsid: "util-linux",
  timeout: "coreutils",
};

for (const missing of Object.keys(packages)) {
  Deno.test(`without the program ${missing} nothing is touched and its package is named (row 11)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const config = writeConfig(folder, storage, {
      executeBefore: [`: >${folder.at("hook-ran")}`],
    });
    const path = await folderWith(
      folder,
      [...tools, ...launcherTools].filter((tool) => tool !== missing),
    );
    const { code, lastLine } = await plasma(["backup", "--config", config], {
      environment: { PATH: path },
    });
    assertStringIncludes(lastLine, `"${missing}"`);
    assertStringIncludes(lastLine, `install the package ${packages[missing]}`);
    assertEquals([code, archivesIn(storage)], [2, []]);
    assertEquals(namesIn(folder.path).includes("hook-ran"), false);
  });
}

Deno.test("without the program ssh a backup over SSH is refused with status 2 (row 11)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const path = await folderWith(
    folder,
    [...tools, ...launcherTools].filter((tool) => tool !== "ssh"),
  );
  const { code, lastLine } = await plasma(
    ["backup", "--to", "host.invalid:/x", folder.at("data")],
    {
      environment: { PATH: path },
    },
  );
  assertEquals(code, 2);
  assertStringIncludes(lastLine, "openssh-client");
});

Deno.test("all tools that are needed are these", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const PATH = await folderWith(folder, [...tools, ...launcherTools]);
  const { code, stderr } = await plasma(["backup", "--to", storage, folder.at("data")], {
    environment: { PATH },
  });
  assertEquals(code, 0, stderr);
});

for (
  const [what, script] of [
    ["another tar", 'echo "bsdtar 3.6.2 - libarchive 3.6.2"'],
    ["a tar that fails", "exit 1"],
    ["a tar that says nothing", "exit 0"],
  ] as const
) {
  Deno.test(`${what} on PATH is refused with status 2 before any hook (row 11)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const tar = folder.write("bin/tar", `#!/bin/sh\n${script}\n`);
    Deno.chmodSync(tar, 0o755);
    const storage = folder.storage("storage");
    const config = writeConfig(folder, storage, {
      executeBefore: [`: >${folder.at("hook-ran")}`],
    });
    const { code, lastLine } = await plasma(["backup", "--config", config], {
      environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
    });
    assertEquals([code, archivesIn(storage)], [2, []]);
    assertMatch(lastLine, /tar is not GNU tar.*install the package tar/);
    assertEquals(namesIn(folder.path).includes("hook-ran"), false);
    await assertNothingLeft(storage);
  });
}

/** A tar that says it is GNU tar and then does something else. */
const brokenTars: readonly (readonly [what: string, script: string, message: RegExp])[] = [
  [
    "ends early with status 0",
    "head -c 3000000 /dev/zero",
    /tar ended before the archive was complete/,
  ],
  ["gives nothing with status 0", "", /tar ended before the archive was complete/],
  [
    "fails half-way",
    "head -c 3000000 /dev/zero; echo tar: disk is on fire >&2; exit 2",
    /disk is on fire/,
  ],
  ["kills itself", "head -c 3000000 /dev/zero; kill -9 $$", /tar was killed by SIGKILL/],
  ["closes its output and fails later", "exec >&-; sleep 1; exit 2", /tar exited with status 2/],
];

for (const [what, script, message] of brokenTars) {
  Deno.test(`a tar that ${what} stores nothing, and is blamed (row 21)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const isVersion = '[ "$1" = --version ] && exec /bin/tar --version';
    const tar = folder.write("bin/tar", `#!/bin/sh\n${isVersion}\n${script}\n`);
    Deno.chmodSync(tar, 0o755);
    const storage = folder.storage("storage");
    const { code, lastLine } = await plasma(["backup", "--to", storage, folder.at("data")], {
      environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
    });
    assertEquals([code, archivesIn(storage)], [1, []]);
    assertMatch(lastLine, message);
    await assertNothingLeft(storage);
  });
}
