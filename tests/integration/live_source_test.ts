import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { assertNothingLeft, slowly, untilMidUpload, writeLargeData } from "../support/runs.ts";
import { sh, until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { assertAllVerify, membersOf } from "../support/storage.ts";
import { asUser } from "../support/user.ts";

Deno.test("a missing folder fails the run before an upload, and nothing is rotated (row 5)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage", { daily: 1 });
  for (const day of [1, 2, 3]) folder.write(`storage/2020010${day}-0000-daily.tar`, "x");
  const before = namesIn(storage);
  const folders = ["data", "missing", "neither"].map((name) => folder.at(name));
  const { code, lastLine } = await plasma(["backup", "--to", storage, ...folders]);
  const left = namesIn(storage).filter((name) => name !== ".plasma");
  assertEquals([code, left], [1, before]);
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
  ["root", "program setpriv"],
  "a file that a user may not read himself fails his run and is named (row 9)",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    folder.write("data/secret", "content");
    const storage = folder.storage("storage");
    const options = await asUser(4711, folder);
    Deno.chmodSync(folder.at("data/secret"), 0);
    const { code, lastLine } = await plasma(
      ["backup", "--to", storage, folder.at("data")],
      options,
    );
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

/** Takes leases on `$0/f*`, says so, and keeps them: who opens a file without waiting is refused. */
const lease = `exec perl -e '$SIG{IO} = "IGNORE"; $| = 1; my @open;
    for (glob "$ARGV[0]/f*") {
      open my $f, "+<", $_ or die; fcntl($f, 1024, 1) or die; push @open, $f
    }
    print "done\\n"; sleep 4711' "$0"`;

for (const count of [1, 500]) {
  testThatNeeds(
    ["root", "program setpriv", "program perl"],
    `row 53: ${count} files on which their owner has leases are left out, and that is said`,
    async () => {
      using folder = new TemporaryFolder();
      folder.write("data/alice/g", "content");
      for (let n = 0; n < count; n++) folder.write(`data/bob/f${n}`, "content");
      await sh("chown", "-R", "1234:1234", folder.at("data/bob"));
      for (const name of ["", "/data"]) Deno.chmodSync(folder.path + name, 0o755);
      const storage = folder.storage("storage");
      const user = new Deno.Command("setpriv", {
        args: [
          "--reuid=1234",
          "--regid=1234",
          "--clear-groups",
          "sh",
          "-c",
          lease,
          folder.at("data/bob"),
        ],
        stdout: "piped",
      }).spawn();
      try {
        await user.stdout.getReader().read();
        const { code, stderr, lastLine } = await plasma([
          "backup",
          "--to",
          storage,
          folder.at("data"),
        ]);
        assertEquals(code, 3, stderr);
        assertMatch(stderr, /left out: \S+data\/bob\/f\d+: Cannot open: /);
        const sum = [...lastLine.matchAll(/archive: (\d+)/g)].reduce(
          (sum, [, n]) => sum + Number(n),
          0,
        );
        assertEquals(sum, count, lastLine);
        await assertAllVerify(storage);
        const members = await membersOf(`${storage}/${archivesIn(storage)[0]}`);
        assertEquals(
          members.filter((name) => /data\/.*[fg]\d*$/.test(name)).map((name) => name.slice(-7)),
          ["alice/g"],
        );
      } finally {
        user.kill("SIGKILL");
        await user.status;
      }
    },
  );
}

testThatNeeds(
  ["root", "program python3"],
  "row 53: a FUSE mount that is made after the survey is named and left out",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/alice/g", "content");
    const place = folder.at("data/bob/mine");
    Deno.mkdirSync(place, { recursive: true });
    const storage = folder.storage("storage");
    // The tar that archives waits until the mount is there.
    const fake = folder.write(
      "bin/tar",
      `#!/bin/sh
case "$*" in *--create*)
  : >${folder.at("surveyed")}
  until [ -e ${folder.at("mounted")} ]; do sleep 0.02; done ;;
esac
exec $(PATH=\${PATH#*:} command -v tar) "$@"
`,
    );
    Deno.chmodSync(fake, 0o755);
    const { output } = startPlasma(["backup", "--to", storage, folder.at("data")], {
      environment: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}` },
    });
    await until("the survey is done", () => namesIn(folder.path).includes("surveyed"));
    const server = new Deno.Command("python3", {
      args: [fromRoot("tests/testdata/dead_network_mount.py"), "fuse.mine", place, "1234"],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    try {
      await server.stdout.getReader().read();
      folder.write("mounted", "");
      const { code, stderr } = await output;
      assertEquals(code, 3, stderr);
      assertMatch(stderr, /left out: \S+data\/bob\/mine: Cannot stat: Permission denied/);
      const members = await membersOf(`${storage}/${archivesIn(storage)[0]}`);
      assertEquals(members.some((name) => name.endsWith("alice/g")), true, `${members}`);
    } finally {
      server.kill("SIGKILL");
      await server.status;
      await sh("umount", place);
    }
  },
);
