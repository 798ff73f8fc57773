import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { asUser } from "../support/user.ts";

/** A config with a hook that leaves `hook-ran`, with other settings for SSH. */
function configure(folder: TemporaryFolder, ssh: object, storage = folder.storage("storage")) {
  folder.write("data/file", "content");
  const executeBefore = [`: >${folder.at("hook-ran")}`];
  return writeConfig(folder, storage, { ssh, executeBefore });
}

const hookRan = (folder: TemporaryFolder) => namesIn(folder.path).includes("hook-ran");

Deno.test("row 61: that both sides have no cipher in common is said", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start({ config: "Ciphers aes256-cbc" });
  const config = configure(folder, sshd.settings);
  const { code, lastLine } = await plasma(["backup", "--config", config]);
  assertEquals([code, hookRan(folder)], [1, false]);
  assertMatch(lastLine, /no matching cipher found\. Their offer: aes256-cbc; .*update the older/);
});

for (const [key, at] of [["identityFile", "key"], ["knownHostsFile", "known"]] as const) {
  Deno.test(`rows 60, 61: an ${key} that is not there is named by every command`, async () => {
    using folder = new TemporaryFolder();
    await using sshd = await Sshd.start();
    const ssh = { ...sshd.settings, [key]: folder.at(at) };
    const config = configure(folder, ssh);
    const expected = new RegExp(`cannot read ssh\\.${key} ${folder.at(at)}: it does not exist; `);
    const backup = await plasma(["backup", "--config", config]);
    assertEquals([backup.code, hookRan(folder)], [2, false]);
    assertMatch(backup.lastLine, expected);
    const list = await plasma(["list", "--config", config]);
    assertEquals(list.code, 2);
    assertMatch(list.lastLine, expected);
    const check = await plasma(["check", "--config", config]);
    assertEquals(check.code, 1, check.stderr);
    assertMatch(check.stdout, expected);
  });
}

Deno.test("an identityFile of which only the public key lies here is left to ssh", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const identityFile = folder.at("key");
  Deno.copyFileSync(`${sshd.settings.identityFile}.pub`, `${identityFile}.pub`);
  const config = configure(folder, { ...sshd.settings, identityFile });
  const { code, lastLine } = await plasma(["backup", "--config", config]);
  assertEquals(code, 1);
  assertMatch(lastLine, /Permission denied/);
});

Deno.test("row 62: an sshd that is not there yet is waited for, before any hook", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const config = configure(folder, sshd.settings);
  sshd.stop();
  const running = plasma(["backup", "--config", config]);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assertEquals(hookRan(folder), false);
  await sshd.startAgain();
  const { code, stderr } = await running;
  assertEquals([code, archivesIn(folder.at("storage")).length], [0, 1], stderr);
  assertMatch(stderr, /waiting for the storage host: .*Connection refused/);
});

Deno.test("row 62: a restore and a list wait as well", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const config = configure(folder, sshd.settings);
  assertEquals((await plasma(["backup", "--config", config])).code, 0);
  sshd.stop();
  const target = ["--target", folder.at("restored"), "--config", config];
  const running = Promise.all([
    plasma(["list", "--config", config]),
    plasma(["restore", "latest", ...target]),
  ]);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await sshd.startAgain();
  for (const { code, stderr } of await running) assertEquals(code, 0, stderr);
});

Deno.test("rows 62, 94: 40 agents at once succeed with the defaults of both sides", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start({ config: "MaxStartups 10:30:100" });
  const storages = Array.from({ length: 40 }, (_, index) => folder.storage(`storage${index}`));
  const runs = await Promise.all(storages.map((storage) => {
    const to = sshd.destination(storage);
    return plasma(["backup", "--to", ...to, "--strategy", "noop"]);
  }));
  for (const { code, stderr } of runs) assertEquals(code, 0, stderr);
  for (const storage of storages) assertEquals(archivesIn(storage).length, 1);
});

Deno.test("rows 62, 94: whoever is turned away by MaxStartups comes back", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start({ config: "MaxStartups 1\nLoginGraceTime 6" });
  const config = configure(folder, sshd.settings);
  const pause = () => new Promise((resolve) => setTimeout(resolve, 500));
  await pause();
  // It never logs in: for six seconds nobody else is let in.
  using _ = await Deno.connect({ hostname: "127.0.0.1", port: sshd.port });
  await pause();
  const { code, stderr } = await plasma(["backup", "--config", config]);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /waiting for the storage host: /, sshd.log);
});

testThatNeeds(
  ["root", "program setpriv"],
  "row 62: a runtime folder with a long path does without the shared connection",
  async () => {
    using folder = new TemporaryFolder();
    await using sshd = await Sshd.start();
    const uid = 65_534; // nobody: ssh wants a login that is known
    const user = await asUser(uid, folder);
    // What runs of before have left there would do.
    for (const name of namesIn("/tmp").filter((one) => one.startsWith(`plasma-${uid}`))) {
      await sh("rm", "-rf", `/tmp/${name}`);
    }
    const runtime = folder.at(`${"x".repeat(60)}/${"100% y"}`);
    Deno.mkdirSync(runtime, { recursive: true, mode: 0o700 });
    const storage = folder.storage("storage");
    for (const file of ["key", "known_hosts"]) {
      const { identityFile, knownHostsFile } = sshd.settings;
      Deno.copyFileSync(file === "key" ? identityFile : knownHostsFile, folder.at(file));
      Deno.chmodSync(folder.at(file), 0o600);
    }
    await sh("chown", "-R", `${uid}:${uid}`, folder.path);
    const [to, ...flags] = sshd.destination(storage);
    flags[1] = folder.at("key");
    flags[3] = folder.at("known_hosts");
    // Nobody can make anything in /tmp, only in the folder: the runtime folder stands in.
    const script = `mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp &&
      mount --bind "$0" "$0" && mount -o remount,bind,rw "$0" && exec "$@"`;
    const through = ["unshare", "--mount", "sh", "-c", script, folder.path, ...user.through!];
    const environment = { ...user.environment!, XDG_RUNTIME_DIR: runtime };
    const args = ["backup", "--to", to, ...flags, "--strategy", "noop"];
    const { code, stderr } = await plasma(args, { ...user, environment, through });
    assertEquals(code, 0, stderr);
    assertEquals(archivesIn(storage).length, 1);
    assertStringIncludes(stderr, "stored ");
  },
);
