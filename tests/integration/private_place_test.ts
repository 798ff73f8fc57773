import { assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { markOf, runFolders, slowly, untilMidUpload, writeLargeData } from "../support/runs.ts";
import { sh, tryRun } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { asUser } from "../support/user.ts";

const userTest = (name: string, run: () => Promise<void>) =>
  testThatNeeds(["root", "program setpriv"], name, run);

/** Users who are not known to this machine. */
const [victim, stranger] = [64_125, 64_126];

/** Everything that belongs to runs of the victim in /tmp, and what was put there to stop them. */
function places(): string[] {
  return namesIn("/tmp").filter((name) => name.startsWith(`plasma-${victim}`))
    .map((name) => `/tmp/${name}`);
}

async function removePlaces(): Promise<void> {
  for (const path of places()) await sh("rm", "-rf", path);
}

userTest("row 55: nobody can keep a user from working by taking names in /tmp", async () => {
  using folder = new TemporaryFolder();
  folder.write("precious/file", "precious");
  for (let index = 0; index < 10; index++) folder.storage(`storage${index}`);
  const user = await asUser(victim, folder);
  let runs = 0;
  const run = async () => {
    const args = ["backup", "--to", folder.at(`storage${runs++}`), "--strategy", "noop"];
    const { code, stderr } = await plasma(args, user);
    assertEquals(code, 0, stderr);
  };
  await removePlaces();
  const names = [`/tmp/plasma-${victim}`, `/tmp/plasma-${victim}-0-0`];
  const ids = [`--reuid=${stranger}`, `--regid=${stranger}`, "--clear-groups"];
  const squats = [
    'mkdir -m 777 "$0"',
    'mkdir -m 700 "$0"',
    ': >"$0"',
    'ln -s "$1" "$0"',
    'mkfifo "$0"',
  ];
  for (const script of squats) {
    for (const name of names) {
      await sh("setpriv", ...ids, "sh", "-c", script, name, folder.at("precious"));
    }
    await run();
    const own = places().filter((path) => !names.includes(path));
    assertEquals(own.length, 1);
    const { uid, mode, isDirectory } = Deno.lstatSync(own[0]!);
    assertEquals([isDirectory, uid, mode! & 0o7777], [true, victim, 0o700]);
    assertEquals((await tryRun("setpriv", ...ids, "ls", own[0]!)).code === 0, false);
    // The place stays the same one, so that the next run finds the lock of this one.
    for (const name of names) await sh("rm", "-rf", name);
    await run();
    assertEquals(places(), own);
    await removePlaces();
  }
  assertEquals(Deno.readTextFileSync(folder.at("precious/file")), "precious");
});

userTest("rows 55, 74: a user's runs from cron and from a session see the same lock", async () => {
  using folder = new TemporaryFolder();
  writeLargeData(folder);
  const storage = folder.storage("storage");
  Deno.mkdirSync(folder.at("runtime"), { mode: 0o700 });
  const user = await asUser(victim, folder);
  const session = {
    ...user,
    environment: { ...user.environment, XDG_RUNTIME_DIR: folder.at("runtime"), TMPDIR: "/var/tmp" },
  };
  const first = startPlasma(["backup", "--to", storage, ...slowly, folder.at("data")], user);
  await untilMidUpload(storage);
  const second = await plasma(["backup", "--to", storage, folder.at("data")], session);
  first.child.kill("SIGTERM");
  await first.output;
  assertEquals([second.code, archivesIn(storage)], [4, []], second.stderr);
  await removePlaces();
});

userTest("row 55: where others can change /tmp a user needs a runtime folder", async () => {
  using folder = new TemporaryFolder();
  folder.storage("storage");
  Deno.mkdirSync(folder.at("runtime"), { mode: 0o700 });
  const user = await asUser(victim, folder);
  // The program under test, or its checkout, may itself be in the /tmp that goes out of sight.
  const kept = Deno.env.get("PLASMA_BIN") ?? new URL("../..", import.meta.url).pathname;
  const script = `set -e; mount --bind "$0" /mnt
make() { if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "\${2%/*}"; touch "$2"; fi; }
kept=${kept}
case $kept in /tmp/*) make "$kept" /mnt/kept; mount --bind "$kept" /mnt/kept ;; esac
mount -t tmpfs -o mode=0777 tmpfs /tmp
case $kept in /tmp/*) make /mnt/kept "$kept"; mount --bind /mnt/kept "$kept" ;; esac
exec "$@"`;
  const through = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    .concat(folder.path, user.through!);
  const run = (XDG_RUNTIME_DIR: string) =>
    plasma(["backup", "--to", "/mnt/storage", "--strategy", "noop"], {
      currentFolder: "/",
      environment: {
        HOME: "/mnt/home",
        DENO_DIR: "/mnt/home/deno",
        PATH: `/mnt/home/bin:${Deno.env.get("PATH")}`,
        XDG_RUNTIME_DIR,
      },
      through,
    });
  for (const wrong of ["", "/run", "relative"]) {
    const { code, lastLine } = await run(wrong);
    assertEquals(code, 2, lastLine);
    assertStringIncludes(lastLine, "/tmp can be changed by others");
  }
  const { code, stderr } = await run("/mnt/runtime");
  assertEquals(code, 0, stderr);
  assertEquals(namesIn(folder.at("runtime")), ["plasma"]);
});

testThatNeeds(
  ["root"],
  "row 55: what a dead run left is removed, without what is linked or mounted there",
  async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    folder.write("precious/file", "precious");
    const storage = folder.storage("storage", { daily: 1000 });
    const args = ["backup", "--to", storage, "--strategy", "noop"];
    const names = folder.at("names");
    const config = folder.write(
      "agent.json",
      JSON.stringify({
        strategy: "noop",
        folders: [],
        remoteFolder: storage,
        executeBefore: [`ls /run/plasma >${names}; exit 1`],
      }),
    );
    await plasma(["backup", "--config", config]);
    const id = Deno.readTextFileSync(names).split("\n").find((name) =>
      name.includes(markOf(storage))
    )!;
    const dead = (digit: string) => `/run/plasma/${id.slice(0, -8)}${digit.repeat(8)}`;
    Deno.mkdirSync(`${dead("1")}/sub/mounted`, { recursive: true });
    Deno.symlinkSync(folder.at("precious"), `${dead("1")}/link`);
    Deno.symlinkSync(folder.at("precious"), dead("2"));
    Deno.mkdirSync(`${dead("3")}/mounted`, { recursive: true });
    await sh("mount", "--bind", folder.at("precious"), `${dead("3")}/mounted`);
    try {
      const { code, stderr } = await plasma(args);
      assertEquals(code, 0, stderr);
      assertEquals(Deno.readTextFileSync(folder.at("precious/file")), "precious");
      assertEquals(namesIn(dead("1")), []);
    } finally {
      await sh("umount", `${dead("3")}/mounted`);
    }
    assertEquals((await plasma(args)).code, 0);
    Deno.removeSync(dead("2"));
    assertEquals(runFolders(storage), []);
    assertEquals(Deno.readTextFileSync(folder.at("precious/file")), "precious");
  },
);
