import { assertEquals, assertMatch } from "@std/assert";
import { newKey } from "../support/archives.ts";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { assertNothingLeft, writeConfig } from "../support/runs.ts";
import { tryRun } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

/** How a program ends when it has read the beginning of its input, and what is said of it. */
const ends: readonly (readonly [what: string, end: string, message: RegExp])[] = [
  ["ends early with status 0", "exit 0", /PROGRAM ended before it had read everything/],
  ["fails", "echo no memory >&2; exit 1", /PROGRAM exited with status 1: no memory/],
  ["is killed", "kill -9 $$", /PROGRAM was killed by SIGKILL/],
];

for (const program of ["zstd", "age"]) {
  for (const [what, end, message] of ends) {
    const name = `row 21: when ${program} ${what} nothing is stored, and it is blamed`;
    testThatNeeds(["program zstd", "program age"], name, async () => {
      using folder = new TemporaryFolder();
      folder.write("data/noise", crypto.getRandomValues(new Uint8Array(60_000)));
      folder.write("data/large", new Uint8Array(8 << 20));
      const storage = folder.storage("storage");
      // Without input it does as it should: that is how plasma asks whether age knows the keys.
      const fake = folder.write(
        `bin/${program}`,
        `#!/bin/sh
real=$(PATH=\${PATH#*:}; command -v ${program})
head -c 50000 >"${folder.path}/$$"
"$real" "$@" <"${folder.path}/$$"
[ -s "${folder.path}/$$" ] || exit 0
${end}
`,
      );
      Deno.chmodSync(fake, 0o755);
      const { recipient } = await newKey(folder);
      const flags = program === "zstd" ? ["--compression", "zstd"] : ["--recipient", recipient];
      const args = ["backup", "--to", storage, ...flags, folder.at("data")];
      const { code, lastLine } = await plasma(args, {
        environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
      });
      assertEquals([code, archivesIn(storage)], [1, []], lastLine);
      assertMatch(lastLine, new RegExp(message.source.replace("PROGRAM", program)));
      await assertNothingLeft(storage);
    });
  }
}

/** What of a config needs the program. */
const needed: Readonly<Record<string, object>> = {
  gzip: { compression: "gzip" },
  xz: { compression: "xz" },
  zstd: { compression: "zstd" },
  age: { encryption: { recipients: ["ssh-rsa AAAA"] } },
};

for (const [program, more] of Object.entries(needed)) {
  Deno.test(`row 11: without ${program} a backup that needs it is refused`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const config = writeConfig(folder, storage, {
      executeBefore: [`: >${folder.at("hook-ran")}`],
      ...more,
    });
    const tools =
      "cat flock mkfifo setsid sh tar timeout readlink stat getent id cut uname mkdir env deno";
    Deno.mkdirSync(folder.at("bin"));
    for (const tool of tools.split(" ")) {
      const { stdout } = await tryRun("sh", "-c", `command -v ${tool}`);
      if (stdout !== "") Deno.symlinkSync(stdout.trimEnd(), folder.at(`bin/${tool}`));
    }
    const { code, lastLine } = await plasma(["backup", "--config", config], {
      environment: { PATH: folder.at("bin") },
    });
    assertEquals([code, archivesIn(storage)], [2, []], lastLine);
    assertMatch(lastLine, new RegExp(`"${program}".*install the package`));
    assertEquals(namesIn(folder.path).includes("hook-ran"), false);
  });
}
