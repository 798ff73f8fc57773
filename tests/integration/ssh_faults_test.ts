import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { assertNothingLeft, writeConfig } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify } from "../support/storage.ts";

/** Back up through an sshd with these settings changed; a hook must not have run. */
async function failOverSsh(
  sshd: Sshd,
  folder: TemporaryFolder,
  change: Partial<Sshd["settings"]>,
): Promise<string> {
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const config = writeConfig(folder, storage, {
    ssh: { ...sshd.settings, ...change },
    executeBefore: [`: >${folder.at("hook-ran")}`],
  });
  const { code, stdout, stderr, lastLine } = await plasma(["backup", "--config", config]);
  assertEquals([code, stdout, archivesIn(storage)], [1, "", []], stderr);
  assertEquals(namesIn(folder.path).includes("hook-ran"), false, "no hook has run");
  const { login, host, port } = { ...sshd.settings, ...change };
  await assertNothingLeft(storage, `ssh://${login}@${host}:${port}${storage}`);
  return lastLine;
}

Deno.test("a refused connection fails before any hook (row 25)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const line = await failOverSsh(sshd, folder, { port });
  assertMatch(line, /^plasma: connection: ssh to 127\.0\.0\.1 .*Connection refused; look whether/);
});

Deno.test("a login that fails is tried once: some hosts count that (row 25)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start({ config: "LogLevel VERBOSE" });
  const identityFile = folder.at("other-key");
  await sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", identityFile);
  for (const strategy of ["tar", "noop"]) {
    const more = { ...sshd.settings, identityFile };
    const config = writeConfig(folder, folder.at("storage"), { strategy, ssh: more });
    folder.write("data/file", "content");
    const before = sshd.log.length;
    const { code, stderr } = await plasma(["backup", "--config", config]);
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /Permission denied/);
    const logins = sshd.log.slice(before).match(/^Failed publickey /gm) ?? [];
    assertEquals(logins.length, 1, sshd.log);
  }
});

Deno.test("a host that does not exist fails before any hook (row 25)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  assertMatch(await failOverSsh(sshd, folder, { host: "host.invalid" }), /host\.invalid/);
});

Deno.test("an unknown host key is never accepted, and ssh's own words are shown (row 27)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const knownHostsFile = folder.write("known_hosts", "");
  const line = await failOverSsh(sshd, folder, { knownHostsFile });
  assertStringIncludes(line, "Host key verification failed");
  assertStringIncludes(line, "known_hosts");
  assertEquals(Deno.readTextFileSync(knownHostsFile), "");
});

Deno.test("a changed host key is never accepted, and called that (rows 27, 61)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  await using other = await Sshd.start();
  const theirs = Deno.readTextFileSync(other.settings.knownHostsFile);
  const text = theirs.replace(`:${other.settings.port} `, `:${sshd.settings.port} `);
  const line = await failOverSsh(sshd, folder, {
    knownHostsFile: folder.write("known_hosts", text),
  });
  assertMatch(line, /WARNING: the host key is not the one that is known.*SHA256:.*do not connect/);
  assertEquals(/keyscan|\badd\b/.test(line), false, line);
});

Deno.test("a key with a passphrase is never asked for (row 27)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const identityFile = folder.at("key");
  Deno.copyFileSync(sshd.settings.identityFile, identityFile);
  await sh("ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", identityFile);
  assertMatch(
    await failOverSsh(sshd, folder, { identityFile }),
    /Permission denied.*; give this machine/,
  );
});

Deno.test("a login that the host does not know is refused", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  assertMatch(await failOverSsh(sshd, folder, { login: "nobody-here" }), /Permission denied/);
});

Deno.test("a storage host without plasma is told so", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const line = await failOverSsh(sshd, folder, { command: "/nowhere/plasma" });
  assertMatch(
    line,
    /cannot run \/nowhere\/plasma.*; install plasma there, or name its absolute path/,
  );
});

/** Forced commands that do not only speak the protocol. */
const noises: readonly (readonly [what: string, script: string, message: RegExp])[] = [
  [
    "a greeting first",
    "echo Welcome to host; exec $SSH_ORIGINAL_COMMAND",
    /but said "Welcome to host"; let/,
  ],
  [
    "an empty line first",
    "echo; exec $SSH_ORIGINAL_COMMAND",
    /did not answer in Plasma's protocol/,
  ],
  ["a greeting without an end", "printf Welcome", /but said "Welcome"/],
  ["a gigabyte", "head -c 1000000000 /dev/zero", /./],
  ["JSON that is none of ours", "echo '{}'", /did not answer in Plasma's protocol/],
  ["another protocol", `echo '{\\"protocol\\":2,\\"ok\\":true}'`, /speaks protocol 2, not 1/],
  ["an answer without content", `echo '{\\"protocol\\":1,\\"ok\\":true}'`, /does not understand/],
  ["an error without words", `echo '{\\"protocol\\":1,\\"ok\\":false}'`, /failed without a reason/],
  ["nothing at all", "exit 0", /ssh to 127\.0\.0\.1 exited with status 0/],
  [
    "only an error",
    "echo This account is not available >&2; exit 1",
    /This account is not available/,
  ],
];

for (const [what, script, message] of noises) {
  Deno.test(`a storage host that says ${what} is named with what it said (row 28)`, async () => {
    using folder = new TemporaryFolder();
    await using sshd = await Sshd.start({ forcedOptions: `command="${script}"` });
    const line = await failOverSsh(sshd, folder, {});
    assertMatch(line, message);
    assertStringIncludes(line, "127.0.0.1");
  });
}

Deno.test("a login banner and noise on standard error do no harm (row 28)", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const banner = folder.write("banner", "AUTHORISED USERS ONLY\n{}\n");
  const storage = folder.storage("storage");
  const script = "echo noise >&2; exec $SSH_ORIGINAL_COMMAND";
  await using sshd = await Sshd.start({
    forcedOptions: `command="${script}"`,
    config: `Banner ${banner}`,
  });
  const { code, stderr } = await plasma(
    ["backup", "--to", ...sshd.destination(storage), folder.at("data")],
  );
  assertEquals(code, 0, stderr);
  assertEquals(archivesIn(storage).length, 1);
});

/** A forced command that does as asked, but cuts the connection instead of answering VERB once. */
function cutting(folder: TemporaryFolder, verb: string): string {
  const script = folder.write(
    "cut",
    `#!/bin/sh
read -r line
case $line in
*'"verb":"${verb}"'*)
  if mkdir ${folder.at("was-cut")} 2>/dev/null; then
    { printf '%s\\n' "$line"; cat; } | ${plasmaProgram} serve >/dev/null
    kill -9 $PPID
    exit
  fi ;;
esac
{ printf '%s\\n' "$line"; cat; } | ${plasmaProgram} serve
`,
  );
  Deno.chmodSync(script, 0o755);
  return script;
}

for (const verb of ["store", "commit", "rotate"]) {
  Deno.test(`a connection that dies before the answer to ${verb} makes no second archive (row 29)`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    await using sshd = await Sshd.start({ forcedOptions: `command="${cutting(folder, verb)}"` });
    const { code, stdout, stderr } = await plasma(
      [
        "backup",
        "--to",
        ...sshd.destination(storage),
        "--retries",
        "1",
        "--retry-delay",
        "1s",
        folder.at("data"),
      ],
    );
    assertEquals(namesIn(folder.path).includes("was-cut"), true);
    assertEquals(code, verb === "rotate" ? 3 : 0, stderr);
    assertEquals(archivesIn(storage), [stdout.trimEnd()]);
    await assertAllVerify(storage);
    await assertNothingLeft(storage, sshd.destination(storage)[0]);
  });
}
