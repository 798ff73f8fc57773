import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, type PlasmaOptions } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { asUser } from "../support/user.ts";

/** Somebody who is not root: `nobody` has no row in passwd(5) everywhere. */
const stranger = 64_123;

/** A folder with data, a storage and a config; its hook tells whether anything was run. */
function setUp(more: object = {}) {
  const folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const config = writeConfig(folder, storage, {
    executeBefore: [`: >${folder.at("ran")}`],
    executeOnFailure: [`: >${folder.at("ran")}`],
    ...more,
  });
  Deno.mkdirSync(folder.at("sub"));
  Deno.renameSync(config, folder.at("sub/agent.json"));
  return {
    folder,
    storage,
    config: folder.at("sub/agent.json"),
    async assertRefused(
      args: readonly string[],
      words: readonly (string | RegExp)[],
      options: PlasmaOptions = {},
      status = 2,
    ) {
      const { code, stderr, lastLine } = await plasma(args, options);
      assertEquals(code, status, stderr);
      for (const word of words) {
        if (typeof word === "string") assertStringIncludes(lastLine, word);
        else assertMatch(lastLine, word);
      }
      assertEquals([namesIn(folder.path).includes("ran"), archivesIn(storage)], [false, []]);
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const asRoot = (name: string, run: () => Promise<void>) => testThatNeeds(["root"], name, run);

for (
  const [what, change, blamed] of [
    ["belongs to somebody else", ["chown", `${stranger}`, "CONFIG"], "it belongs to uid 64123"],
    ["everybody may write", ["chmod", "o+w", "CONFIG"], /others than its owner root .* write it;/],
    [
      "is in somebody's folder",
      ["chown", `${stranger}`, "FOLDER/sub"],
      "/sub belongs to uid 64123",
    ],
    ["is in a folder that all may write", ["chmod", "0777", "FOLDER/sub"], /write \S+\/sub;/],
  ] as const
) {
  asRoot(`row 56: as root a config that ${what} is refused before anything is run`, async () => {
    using run = setUp();
    const words = change.map((word) =>
      word.replace("CONFIG", run.config).replace("FOLDER", run.folder.path)
    );
    await sh(words[0]!, ...words.slice(1));
    await run.assertRefused(["backup", "--config", run.config], [`config ${run.config}`, blamed]);
    await run.assertRefused(["check", "--config", run.config], [blamed]);
    await run.assertRefused(["list", "--config", "agent.json"], [blamed], {
      currentFolder: run.folder.at("sub"),
    });
  });
}

asRoot("row 56: a link to a config is trusted only if the whole way is", async () => {
  using run = setUp();
  Deno.symlinkSync("sub/agent.json", run.folder.at("link"));
  const { code, stderr } = await plasma(["backup", "--config", run.folder.at("link")]);
  assertEquals(code, 0, stderr);
  Deno.removeSync(run.folder.at("ran"));
  Deno.removeSync(`${run.storage}/${archivesIn(run.storage)[0]}`);

  Deno.mkdirSync(run.folder.at("theirs"));
  Deno.symlinkSync(run.config, run.folder.at("theirs/link"));
  Deno.symlinkSync("theirs/link", run.folder.at("way"));
  Deno.chownSync(run.folder.at("theirs"), stranger, stranger);
  await run.assertRefused(
    ["backup", "--config", run.folder.at("way")],
    [`${run.folder.at("theirs")} belongs to uid 64123`],
  );
});

asRoot("row 56: as root the files that a config names must be nobody else's", async () => {
  for (const key of ["recipientsFile", "identityFile", "knownHostsFile"]) {
    const ssh = { host: "host.invalid", [key]: "FILE" };
    // The config itself is good: of this failure its hooks hear.
    const executeOnFailure = ["true"];
    const more = key === "recipientsFile" ? { encryption: { recipientsFile: "FILE" } } : { ssh };
    using run = setUp();
    const file = run.folder.write("named", "content");
    const config = JSON.parse(Deno.readTextFileSync(run.config));
    const text = JSON.stringify({ ...config, ...more, executeOnFailure }).replace("FILE", file);
    Deno.writeTextFileSync(run.config, text);
    Deno.chownSync(file, stranger, stranger);
    await run.assertRefused(["backup", "--config", run.config], [`${key} ${file}`, "uid 64123"]);
  }
});

asRoot("row 56: as root a PATH that others can change is refused by every command", async () => {
  using run = setUp();
  const evil = (name: string) => {
    const path = run.folder.write(name, `#!/bin/sh\n: >${run.folder.at("ran")}\nexec /bin/true\n`);
    Deno.chmodSync(path, 0o755);
  };
  for (const program of ["tar", "cat", "flock", "timeout", "sh", "readlink", "stat"]) {
    evil(`theirs/${program}`);
    evil(`good/${program}`);
    Deno.chownSync(run.folder.at(`good/${program}`), stranger, stranger);
  }
  Deno.chownSync(run.folder.at("theirs"), stranger, stranger);
  Deno.mkdirSync(run.folder.at("open"));
  Deno.chmodSync(run.folder.at("open"), 0o777);
  const path = Deno.env.get("PATH");
  const paths = [
    [`.:${path}`, /relative entry \./],
    [`${path}:`, /an empty entry/],
    [`theirs:${path}`, /relative entry theirs/],
    [`${run.folder.at("theirs")}:${path}`, `${run.folder.at("theirs")} can be changed by others`],
    [`${path}:${run.folder.at("open")}`, "may write it"],
    [`${run.folder.at("good")}:${path}`, /\/good\/\w+ can be changed by others: it belongs to uid/],
    [`/tmp/plasma-no-such-folder:${path}`, "does not exist, and others may make it"],
  ] as const;
  for (const [PATH, words] of paths) {
    const options = { currentFolder: run.folder.at("theirs"), environment: { PATH } };
    await run.assertRefused(["backup", "--config", run.config], [words], options);
  }
  const options = { currentFolder: run.folder.at("theirs"), environment: { PATH: `.:${path}` } };
  await run.assertRefused(["check", "--config", run.config], [/relative/], options);
  await run.assertRefused(["rotate", run.storage], [/relative/], options);
  await run.assertRefused(["status", run.storage], [/relative/], options, 3);
  const { stdout, code } = await plasma(["serve"], { ...options, stdin: "" });
  assertEquals([code, JSON.parse(stdout).ok], [1, false]);
  assertStringIncludes(stdout, "relative entry");
  assertEquals(namesIn(run.folder.path).includes("ran"), false);
});

if (Deno.env.get("PLASMA_BIN") === undefined) {
  asRoot("row 56: as root the launcher runs no Deno that others can change", async () => {
    using run = setUp();
    const bin = run.folder.at("bin");
    const deno = run.folder.write("bin/deno", `#!/bin/sh\n: >${run.folder.at("ran")}\n`);
    Deno.chmodSync(deno, 0o755);
    const args = ["backup", "--config", run.config];
    const options = { environment: { PATH: `${bin}:${Deno.env.get("PATH")}` } };
    for (const path of [bin, deno]) {
      Deno.chownSync(path, stranger, stranger);
      await run.assertRefused(args, [deno, `${path} is of uid 64123`], options);
      Deno.chownSync(path, 0, 0);
      Deno.chmodSync(path, 0o757);
      await run.assertRefused(args, [deno, `${path} is of uid 0, mode 757`], options);
      Deno.chmodSync(path, 0o755);
    }
  });
}

if (Deno.env.get("PLASMA_BIN") === undefined) {
  asRoot("row 56: as root the launcher takes nothing from another user's caches", async () => {
    using run = setUp();
    const pinned = Deno.readTextFileSync(fromRoot(".deno-version")).trim();
    for (const cache of ["home/.cache/plasma", "cache/plasma"]) {
      const deno = run.folder.write(
        `${cache}/deno-${pinned}/deno`,
        `#!/bin/sh\n: >${run.folder.at("ran")}\n`,
      );
      Deno.chmodSync(deno, 0o755);
    }
    for (const name of ["home", "cache", "deno"]) {
      Deno.mkdirSync(run.folder.at(name), { recursive: true });
      await sh("chown", "-R", `${stranger}`, run.folder.at(name));
    }
    const { code, stderr } = await plasma(["list", "--from", run.storage], {
      environment: {
        HOME: run.folder.at("home"),
        XDG_CACHE_HOME: run.folder.at("cache"),
        DENO_DIR: run.folder.at("deno"),
      },
    });
    assertEquals(code, 0, stderr);
    assertEquals(namesIn(run.folder.path).includes("ran"), false);
    assertEquals([namesIn(run.folder.at("deno")), namesIn(run.folder.at("cache"))], [[], [
      "plasma",
    ]]);
    assertEquals(namesIn(run.folder.at("home/.cache")), ["plasma"]);

    // In a cache of root's own it is not run either when somebody else could change it.
    Deno.chownSync(run.folder.at("cache"), 0, 0);
    await run.assertRefused(["list", "--from", run.storage], ["/deno is of uid 64123"], {
      environment: { XDG_CACHE_HOME: run.folder.at("cache") },
    });
  });
}

if (Deno.env.get("PLASMA_BIN") === undefined) {
  asRoot(
    "row 56: as root the launcher takes nothing from a home that others can fill",
    async () => {
      using run = setUp();
      const pinned = Deno.readTextFileSync(fromRoot(".deno-version")).trim();
      const fill = async (home: string) => {
        const deno = run.folder.write(
          `${home}/.cache/plasma/deno-${pinned}/deno`,
          `#!/bin/sh\n: >${run.folder.at("ran")}\n`,
        );
        Deno.chmodSync(deno, 0o755);
        run.folder.write(`${home}/.cache/deno/npm/own`, "");
        await sh("chown", "-R", `${stranger}`, run.folder.at(`${home}/.cache`));
      };
      await fill("sticky");
      Deno.chmodSync(run.folder.at("sticky"), 0o1777);
      await fill("theirs/home");
      Deno.chownSync(run.folder.at("theirs"), stranger, stranger);
      for (const home of ["sticky", "theirs/home", "sticky/missing"]) {
        const { code, stderr } = await plasma(["list", "--from", run.storage], {
          environment: { HOME: run.folder.at(home), XDG_CACHE_HOME: "", DENO_DIR: "" },
        });
        assertEquals(code, 0, stderr);
        assertEquals(namesIn(run.folder.path).includes("ran"), false, home);
      }
      assertEquals(namesIn(run.folder.at("sticky")), [".cache"]);
      assertEquals(namesIn(run.folder.at("sticky/.cache/deno")), ["npm"]);
    },
  );
}

asRoot("row 56: a user runs no program of the current folder, and its backup works", async () => {
  using run = setUp();
  for (const program of ["tar", "cat", "sh", "readlink", "stat"]) {
    Deno.chmodSync(run.folder.write(`here/${program}`, "#!/bin/sh\nexit 1\n"), 0o755);
  }
  const user = await asUser(stranger, run.folder);
  const { code, stderr } = await plasma(["backup", "--config", run.config], {
    ...user,
    currentFolder: run.folder.at("here"),
    environment: { ...user.environment, PATH: `.::${user.environment!.PATH}` },
  });
  // The launcher takes it out of PATH before Deno looks up what may be run.
  const isLauncher = Deno.env.get("PLASMA_BIN") === undefined;
  assertEquals([code, archivesIn(run.storage).length], isLauncher ? [0, 1] : [2, 0], stderr);
  if (!isLauncher) assertStringIncludes(stderr, "there is a program cat in it");
  await sh("sh", "-c", 'rm -rf /tmp/plasma-"$0"*', `${stranger}`);
});
