import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, type PlasmaOptions, startPlasma, untilEnded } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { membersOf } from "../support/storage.ts";

/** Paths so long that tar dies of them: what one user nests costs the others nothing. */

/** Make folders, one in another. */
async function nestFolders(path: string, count: number): Promise<void> {
  const script = 'chdir shift; for (1..shift) { mkdir "a"; chdir "a" or die }';
  await sh("perl", "-e", script, path, `${count}`);
}

testThatNeeds(
  ["program perl"],
  "row 53: folders nested by the thousand do not take hours because of the patterns",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const config = writeConfig(folder, storage, { exclude: ["*.tmp", "node_modules", "/srv/x"] });
    await nestFolders(folder.at("data"), 2000);
    try {
      const run = startPlasma(["backup", "--config", config]);
      await untilEnded(run.output, 60);
      const { code, stderr } = await run.output;
      assertEquals([code, archivesIn(storage).length], [0, 1], stderr);
    } finally {
      await sh("rm", "-r", folder.at("data"));
    }
  },
);

/** With the stack of 8 MiB that is usual it takes some 15,000 folders to kill tar. */
function writeFrailTar(folder: TemporaryFolder, limit = "ulimit -Ss 1024"): PlasmaOptions {
  folder.write(
    "bin/tar",
    `#!/bin/sh\n${limit}\nexec $(PATH=\${PATH#*:} command -v tar) "$@"\n`,
  );
  Deno.chmodSync(folder.at("bin/tar"), 0o755);
  return { environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` } };
}

for (const more of [{}, { tempfile: "staged", compression: "zstd" }]) {
  testThatNeeds(
    ["program perl"],
    `row 53: folders nested too deep for tar are left out, and that is said ${Object.keys(more)}`,
    async () => {
      using folder = new TemporaryFolder();
      folder.write("data/alice/file", "content");
      folder.write("data/zoe/file", "content");
      const storage = folder.storage("storage");
      const staged = "tempfile" in more ? { tempfile: folder.at(more.tempfile) } : {};
      const config = writeConfig(folder, storage, { ...more, ...staged });
      for (const user of ["bob", "carl"]) {
        Deno.mkdirSync(folder.at(`data/${user}`));
        await nestFolders(folder.at(`data/${user}`), 4000);
      }
      const options = writeFrailTar(folder);
      try {
        const { code, stderr, lastLine } = await plasma(["backup", "--config", config], options);
        assertEquals(code, 3, stderr);
        assertMatch(stderr, /warning: archive: tar was killed by SIGSEGV/);
        assertMatch(lastLine, /paths of more than 1\d{3} bytes are left out, .*: below "/);
        const place = (user: string) =>
          new RegExp(`below .*"\\S*data/${user}/a/[a/]+\\.\\.\\."(, |$)`).test(lastLine);
        assertEquals([place("bob"), place("carl")], [true, true], lastLine);
        assertMatch(stderr, /warning: left out: long paths below "\S*data\/carl\/a\/a/);
        const members = await membersOf(`${storage}/${archivesIn(storage)[0]}`);
        for (const user of ["alice", "zoe"]) {
          assertEquals(members.some((name) => name.endsWith(`data/${user}/file`)), true);
        }
        const lengths = members.map((name) => name.replace(/\/$/, "").length);
        const longest = folder.at("data").length + 1000;
        assertEquals(Math.max(...lengths) >= longest - 2, true, `${Math.max(...lengths)}`);
        assertEquals(Math.max(...lengths) < longest, true, `${Math.max(...lengths)}`);
      } finally {
        await sh("rm", "-r", folder.at("data"));
      }
    },
  );
}

/** Make folders, one in another, and in the last one files whose other links are elsewhere. */
const linkFiles = `my ($folder, $outside, $levels, $count) = @ARGV; chdir $folder;
my $name = "n" x 255;
for (1..$levels) { mkdir $name; chdir $name or die }
for my $n (1..$count) { open F, ">", "$outside/$n" or die; close F; link "$outside/$n", $n or die }`;

testThatNeeds(
  ["program perl"],
  "row 53: files with several links at the end of long paths are left out, and that is said",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/alice/file", "content");
    folder.write("data/zoe/file", "content");
    const storage = folder.storage("storage");
    for (const name of ["data/bob", "outside"]) Deno.mkdirSync(folder.at(name));
    await sh("perl", "-e", linkFiles, folder.at("data/bob"), folder.at("outside"), "190", "3000");
    try {
      const { code, lastLine } = await plasma(
        ["backup", "--to", storage, folder.at("data")],
        writeFrailTar(folder, "ulimit -v 100000"),
      );
      assertEquals(code, 3, lastLine);
      assertMatch(lastLine, /because tar cannot cope with them: below "\S*data\/bob\/n+\.\.\."$/);
      const members = await membersOf(`${storage}/${archivesIn(storage)[0]}`);
      for (const user of ["alice", "zoe"]) {
        assertEquals(members.some((name) => name.endsWith(`data/${user}/file`)), true);
      }
    } finally {
      await sh("rm", "-r", folder.at("data"));
    }
  },
);

testThatNeeds(
  ["program perl"],
  "row 53: what is left out is not all named if tar dies of the list too, and that is said",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/alice/file", "content");
    const storage = folder.storage("storage");
    Deno.mkdirSync(folder.at("data/bob"));
    await nestFolders(folder.at("data/bob"), 4000);
    const limit = 'case "$*" in *--file=/dev/null*) kill -SEGV $$ ;; esac; ulimit -Ss 1024';
    try {
      const { code, lastLine } = await plasma(
        ["backup", "--to", storage, folder.at("data")],
        writeFrailTar(folder, limit),
      );
      assertEquals(code, 3, lastLine);
      assertMatch(lastLine, /cope with them: which ones could not be found out$/);
    } finally {
      await sh("rm", "-r", folder.at("data"));
    }
  },
);

testThatNeeds(
  ["program perl"],
  "row 53: a tar that is killed again stores nothing, and says why",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    folder.write(
      "bin/tar",
      '#!/bin/sh\ncase "$*" in *--create*) kill -SEGV $$ ;; esac\n' +
        'exec $(PATH=${PATH#*:} command -v tar) "$@"\n',
    );
    Deno.chmodSync(folder.at("bin/tar"), 0o755);
    const { code, lastLine } = await plasma(["backup", "--to", storage, folder.at("data")], {
      environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
    });
    assertEquals([code, archivesIn(storage)], [1, []]);
    assertMatch(lastLine, /tar was killed by SIGSEGV/);
  },
);
