import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, plasmaProgram, startPlasma, untilEnded } from "../support/plasma.ts";
import { assertNothingLeft, untilMidUpload } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify, membersOf } from "../support/storage.ts";

/** Somebody who is not root. */
const stranger = 64_123;

/** A folder for configs that share the tempfile `staging/tempfile` of it. */
class Setting extends TemporaryFolder {
  readonly tempfile = this.at("staging/tempfile");

  constructor() {
    super();
    Deno.mkdirSync(this.at("staging"));
  }

  /** A config whose only file is full of one letter, and its storage. */
  add(letter: string, more: object = {}, bytes = 8 << 20) {
    this.write(`${letter}/file`, letter.repeat(bytes));
    const storage = this.storage(`storage-${letter}`);
    const config = {
      folders: [this.at(letter)],
      strategy: "tar",
      remoteFolder: storage,
      tempfile: this.tempfile,
      ...more,
    };
    const text = JSON.stringify(config).replaceAll("FOLDER", this.path);
    return { storage, args: ["backup", "--config", this.write(`${letter}.json`, text)] };
  }

  /** What is stored for a letter is what was there: one archive, with nothing else in its file. */
  async assertStored(letter: string, bytes = 8 << 20): Promise<void> {
    const storage = this.at(`storage-${letter}`);
    const archives = archivesIn(storage);
    assertEquals(archives.length, 1);
    await assertAllVerify(storage);
    const file = `${this.path.slice(1)}/${letter}/file`;
    const sum = await sh(
      "sh",
      "-c",
      'tar -xOf "$0" "$1" | sha256sum',
      `${storage}/${archives}`,
      file,
    );
    const expected = await sh("sha256sum", this.at(`${letter}/file`));
    assertEquals(sum.slice(0, 64), expected.slice(0, 64));
    assertEquals(Deno.statSync(`${storage}/${archives}`).size > bytes, true);
  }
}

Deno.test("row 85: of two configs with one tempfile the second fails, the first is stored whole", async () => {
  using setting = new Setting();
  const [a, b] = [setting.add("a", { bandwidthLimit: "8M" }), setting.add("b")];
  const first = startPlasma(a.args);
  await untilMidUpload(a.storage, 1 << 20);
  const second = await plasma(b.args);
  assertEquals([second.code, archivesIn(b.storage)], [1, []]);
  assertStringIncludes(second.lastLine, `another run uses the tempfile ${setting.tempfile}`);
  const { code, stderr } = await first.output;
  assertEquals(code, 0, stderr);
  await setting.assertStored("a");
  assertEquals(namesIn(setting.at("staging")), []);
});

Deno.test("row 85: runs that take the same tempfile at the same moment never mix", async () => {
  using setting = new Setting();
  const letters = ["a", "b", "c"];
  const runs = letters.map((letter) => setting.add(letter, {}, 1 << 20));
  for (let round = 0; round < 4; round++) {
    const results = await Promise.all(runs.map(({ args }) => plasma(args)));
    const stored = results.filter(({ code }) => code === 0).length;
    const failed = results.filter(({ code, lastLine }) =>
      code === 1 && /another (run uses|program has changed) the tempfile/.test(lastLine)
    ).length;
    assertEquals(
      [stored >= 1, stored + failed],
      [true, 3],
      results.map((r) =>
        r.stderr
      ).join(),
    );
    for (const [index, letter] of letters.entries()) {
      const { storage } = runs[index]!;
      if (results[index]!.code === 0) await setting.assertStored(letter, 1 << 20);
      else assertEquals(archivesIn(storage), []);
      for (const name of archivesIn(storage)) {
        Deno.removeSync(`${storage}/${name}`);
        Deno.removeSync(`${storage}/${name}.sha256`);
      }
    }
    assertEquals(namesIn(setting.at("staging")), []);
  }
});

/** What another program may do to the tempfile `$t` when it is complete. */
const changes = {
  "is cut": 'truncate -s 1M "$t"',
  "grows": 'echo more >>"$t"',
  "is written over": 'printf x | dd of="$t" bs=1 seek=5000 conv=notrunc status=none',
  "is replaced by a like one": 'cp "$t" "$t.new"; mv "$t.new" "$t"',
  "is removed": 'rm "$t"',
  "becomes a link": 'mv "$t" "$t.old"; ln -s "$t.old" "$t"',
  "becomes a FIFO": 'rm "$t"; mkfifo "$t"',
  "becomes a folder": 'rm "$t"; mkdir "$t"',
};

for (const [what, script] of Object.entries(changes)) {
  Deno.test(`row 85: a tempfile that ${what} between staging and upload is not stored`, async () => {
    using setting = new Setting();
    const { storage, args } = setting.add("a", {
      executeAfterSnapshot: [`t=FOLDER/staging/tempfile; ${script}`],
      executeAlways: [": >FOLDER/always"],
    });
    const run = startPlasma(args);
    await untilEnded(run.output, 30);
    const { code, lastLine } = await run.output;
    assertEquals([code, archivesIn(storage)], [1, []], lastLine);
    assertMatch(lastLine, /another (program has changed the tempfile|file is at \S+tempfile now)/);
    assertEquals(namesIn(setting.path).includes("always"), true);
    await assertNothingLeft(storage);
  });
}

Deno.test("row 85: a tempfile that is written to while it is uploaded is not stored", async () => {
  using setting = new Setting();
  const { storage, args } = setting.add("a", { bandwidthLimit: "8M" }, 16 << 20);
  const run = startPlasma(args);
  await untilMidUpload(storage);
  await sh(
    "sh",
    "-c",
    'printf x | dd of="$0" bs=1 seek=15M conv=notrunc status=none',
    setting.tempfile,
  );
  const { code, lastLine } = await run.output;
  assertEquals([code, archivesIn(storage)], [1, []]);
  assertStringIncludes(lastLine, `another program has changed the tempfile ${setting.tempfile}`);
});

Deno.test("row 85: a leftover that somebody has locked is left alone", async () => {
  using setting = new Setting();
  const { storage, args } = setting.add("a");
  Deno.writeTextFileSync(setting.tempfile, "in use");
  const holder = new Deno.Command("flock", {
    args: ["--no-fork", setting.tempfile, "sh", "-c", "echo locked; exec sleep 4711"],
    stdout: "piped",
  }).spawn();
  await holder.stdout.getReader().read();
  const { code, lastLine } = await plasma(args);
  holder.kill("SIGKILL");
  await holder.status;
  assertEquals([code, archivesIn(storage)], [1, []]);
  assertStringIncludes(lastLine, "another run uses the tempfile");
  assertEquals(Deno.readTextFileSync(setting.tempfile), "in use");
  assertEquals((await plasma(args)).code, 0);
});

testThatNeeds(
  ["root", "program setpriv"],
  "row 85: who owns the tempfile's folder can make the backup fail, and no more",
  async () => {
    using setting = new Setting();
    const { storage, args } = setting.add("a", {}, 2 << 20);
    const staging = setting.at("staging");
    const victim = setting.write("victim", "precious");
    Deno.chownSync(staging, stranger, stranger);
    Deno.chmodSync(setting.path, 0o755);
    const well = await plasma(args);
    assertEquals(well.code, 0, well.stderr);
    await setting.assertStored("a", 2 << 20);
    assertEquals(namesIn(staging), []);

    const script = `cd "$0" && while :; do
    [ -f tempfile ] && mv tempfile old && ln -s "$1" tempfile && mv -T old tempfile
    [ -f tempfile ] && mv tempfile old && mkfifo tempfile && mv -T old tempfile
  done 2>/dev/null`;
    const ids = [`--reuid=${stranger}`, `--regid=${stranger}`, "--clear-groups"];
    const attacker = new Deno.Command("setpriv", {
      args: [...ids, "sh", "-c", script, staging, victim],
    }).spawn();
    let failures = 0;
    for (let round = 0; round < 6; round++) {
      const run = startPlasma(args);
      await untilEnded(run.output, 30);
      const { code, stderr } = await run.output;
      assertEquals(code === 0 || code === 1, true, stderr);
      if (code === 1) failures++;
    }
    attacker.kill("SIGKILL");
    await attacker.status;
    assertEquals(failures > 0, true, "the attacker was too slow");
    assertEquals(archivesIn(storage).length, 1 + 6 - failures);
    for (const name of archivesIn(storage)) {
      const file = `${setting.path.slice(1)}/a/file`;
      const command = 'tar -xOf "$0" "$1" | cmp - "/$1"';
      await sh("sh", "-c", command, `${storage}/${name}`, file);
    }
    await assertAllVerify(storage);
    assertEquals(Deno.readTextFileSync(victim), "precious");
  },
);

testThatNeeds(
  ["root"],
  "row 85: as root a tempfile below somebody's folder is refused before anything is run",
  async () => {
    using setting = new Setting();
    const { storage, args } = setting.add("a", {
      tempfile: "FOLDER/staging/sub/tempfile",
      executeBefore: [": >FOLDER/ran"],
    });
    Deno.mkdirSync(setting.at("staging/sub"));
    Deno.chownSync(setting.at("staging"), stranger, stranger);
    const { code, lastLine } = await plasma(args);
    assertEquals([code, archivesIn(storage), namesIn(setting.path).includes("ran")], [
      2,
      [],
      false,
    ]);
    assertStringIncludes(lastLine, `${setting.at("staging")} belongs to uid ${stranger}`);
    const check = await plasma([...args.with(0, "check")]);
    assertEquals(check.code, 1);
    assertStringIncludes(check.stdout, "tempfile");
  },
);

testThatNeeds(
  ["root"],
  "row 85: in a sticky folder of everybody nobody can be in the way of a tempfile",
  async () => {
    using setting = new Setting();
    Deno.chmodSync(setting.at("staging"), 0o1777);
    const { args } = setting.add("a", { folders: ["FOLDER/a", "FOLDER/staging"] });
    Deno.writeTextFileSync(setting.tempfile, "squatted");
    Deno.chownSync(setting.tempfile, stranger, stranger);
    const left = [0, 1].map((n) => `staging/tempfile.plasma-000000000000000${n}`);
    for (const path of left) setting.write(path, "left by a killed run");
    Deno.chownSync(setting.at(left[1]!), stranger, stranger);
    const check = await plasma(args.with(0, "check"));
    assertMatch(check.stdout, /ok +tempfile +\S+tempfile\.plasma-\* can be used/);
    const { code, stderr } = await plasma(args);
    assertEquals(code, 0, stderr);
    await setting.assertStored("a");
    assertEquals(namesIn(setting.at("staging")), ["tempfile", left[1]!.slice("staging/".length)]);
    assertEquals(Deno.readTextFileSync(setting.tempfile), "squatted");
    const archive = archivesIn(setting.at("storage-a"))[0]!;
    const members = await membersOf(`${setting.at("storage-a")}/${archive}`);
    assertEquals(members.filter((name) => name.includes("staging/tempfile")).length, 2);
  },
);

testThatNeeds(["root"], "row 85: check says what is in the way of a tempfile", async () => {
  using setting = new Setting();
  const { args } = setting.add("a");
  const assertCheck = async (code: number, words: RegExp) => {
    const check = await plasma(args.with(0, "check"));
    assertEquals(check.code, code, check.stdout);
    assertMatch(check.stdout, words);
  };
  await assertCheck(0, /ok +tempfile/);
  Deno.writeTextFileSync(setting.tempfile, "left by a killed run");
  await assertCheck(0, /ok +tempfile/);
  assertEquals(Deno.readTextFileSync(setting.tempfile), "left by a killed run");
  const holder = new Deno.Command("flock", {
    args: ["--no-fork", setting.tempfile, "sh", "-c", "echo locked; exec sleep 4711"],
    stdout: "piped",
  }).spawn();
  await holder.stdout.getReader().read();
  await assertCheck(1, /FAILED +tempfile +another run uses the tempfile/);
  holder.kill("SIGKILL");
  await holder.status;
  Deno.chownSync(setting.tempfile, stranger, stranger);
  await assertCheck(1, /FAILED +tempfile .*belongs to somebody else/);
  Deno.removeSync(setting.tempfile);
  Deno.mkdirSync(setting.tempfile);
  await assertCheck(1, /FAILED +tempfile .*is not a regular file/);
  Deno.removeSync(setting.at("staging"), { recursive: true });
  await assertCheck(1, /FAILED +tempfile .*does not exist/);
});

for (const isChanged of [false, true]) {
  const what = isChanged ? "fails if the tempfile was changed meanwhile" : "stores what was staged";
  Deno.test(`row 85: an upload that is tried again ${what}`, async () => {
    using setting = new Setting();
    // Cuts the connection in the first upload, and changes the tempfile then.
    const change = `printf x | dd of=${setting.tempfile} bs=1 seek=5000 conv=notrunc 2>/dev/null`;
    const script = setting.write(
      "cut",
      `#!/bin/sh
read -r line
case $line in
*'"verb":"store"'*)
  if mkdir ${setting.at("was-cut")} 2>/dev/null; then
    head -c 1000000 >/dev/null
    ${isChanged ? change : ":"}
    kill -9 $PPID
    exit
  fi ;;
esac
{ printf '%s\\n' "$line"; cat; } | ${plasmaProgram} serve
`,
    );
    Deno.chmodSync(script, 0o755);
    await using sshd = await Sshd.start({ forcedOptions: `command="${script}"` });
    const more = { ssh: sshd.settings, retries: 1, retryDelay: "1s" };
    const { storage, args } = setting.add("a", more);
    const { code, stderr, lastLine } = await plasma(args);
    assertEquals(namesIn(setting.path).includes("was-cut"), true);
    assertStringIncludes(stderr, "upload failed, trying again");
    assertEquals([code, archivesIn(storage).length], isChanged ? [1, 0] : [0, 1], stderr);
    if (isChanged) assertStringIncludes(lastLine, "another program has changed the tempfile");
    else await setting.assertStored("a");
  });
}
