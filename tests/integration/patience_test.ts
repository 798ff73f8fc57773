import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { Cable } from "../support/network.ts";
import { piped, plasma, startPlasma, untilEnded } from "../support/plasma.ts";
import { untilNoProcessNames } from "../support/processes.ts";
import { assertNothingLeft, untilMidUpload, writeConfig, writeLargeData } from "../support/runs.ts";
import { until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { assertAllVerify } from "../support/storage.ts";

/** An agent's run whose storage host accepts the connection and never says a word. */
async function handshakeStalls(): Promise<void> {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const config = writeConfig(folder, storage, {
    ssh: { host: "127.0.0.1", login: "nobody", port },
    executeBefore: [`: >${folder.at("hook-ran")}`],
  });
  const { code, lastLine } = await plasma(["backup", "--config", config]);
  assertEquals(code, 1);
  assertMatch(lastLine, /connection: ssh to 127\.0\.0\.1 .*timed out/);
  assertEquals(namesIn(folder.path).includes("hook-ran"), false);
  await assertNothingLeft(storage, `ssh://nobody@127.0.0.1:${port}${storage}`);
}

/** A client that connects and asks for nothing. */
async function requestNeverComes(): Promise<void> {
  const { child, output } = startPlasma(["serve"], { stdin: piped });
  try {
    await untilEnded(output, 45);
    const { code, stdout } = await output;
    assertEquals([code, JSON.parse(stdout).error.message], [1, "no request came in time"]);
  } finally {
    await child.stdin.close();
    await output;
  }
}

/** A hook that neither ends by itself nor by SIGTERM. */
async function hookIgnoresTerm(): Promise<void> {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const config = writeConfig(folder, storage, {
    executeBefore: [`trap '' TERM; while :; do tail -f ${folder.at("data/file")}; done`],
    hookTimeout: "1s",
  });
  const { code, lastLine } = await plasma(["backup", "--config", config]);
  assertEquals(code, 1);
  assertMatch(lastLine, /executeBefore\[0\]: .* (took longer than 1 s|was killed by SIGKILL)/);
  await untilNoProcessNames(folder.path);
}

/** An agent's run whose packets to the storage host get lost. */
async function hostIsOutOfReach(): Promise<void> {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  await using cable = await Cable.lay();
  const config = writeConfig(folder, storage, {
    ssh: { host: cable.nowhere, login: "nobody" },
    executeBefore: [`: >${folder.at("hook-ran")}`],
  });
  const { code, lastLine } = await plasma(["backup", "--config", config], {
    through: cable.through,
  });
  assertEquals(code, 1);
  assertMatch(lastLine, /connection: ssh to 198\..*(timed out|No route to host)/);
  assertEquals(namesIn(folder.path).includes("hook-ran"), false);
}

/** An upload in the middle of which the network goes silent, and comes back when it is over. */
async function networkGoesSilent(): Promise<void> {
  using folder = new TemporaryFolder();
  writeLargeData(folder);
  const storage = folder.storage("storage");
  await using cable = await Cable.lay();
  // The storage host notices the silence too.
  const alive = "ClientAliveInterval 5\nClientAliveCountMax 3";
  await using sshd = await Sshd.start({ config: `ListenAddress ${cable.here}\n${alive}` });
  const { settings } = sshd;
  const known = Deno.readTextFileSync(settings.knownHostsFile).replace("127.0.0.1", cable.here);
  const knownHostsFile = folder.write("known_hosts", known);
  const ssh = { ...settings, host: cable.here, knownHostsFile };
  const start = (more: object) =>
    startPlasma(["backup", "--config", writeConfig(folder, storage, { ssh, ...more })], {
      through: cable.through,
    });

  const run = start({ bandwidthLimit: "8M" });
  await untilMidUpload(storage);
  await cable.pull();
  await untilEnded(run.output, 90);
  const { code, lastLine } = await run.output;
  assertEquals([code, archivesIn(storage)], [1, []]);
  assertMatch(lastLine, /connection: ssh to 198\..*the connection was lost; look at the network/);
  await cable.plug();
  const next = await start({}).output;
  assertEquals(next.code, 0, next.stderr);
  assertEquals(archivesIn(storage), [next.stdout.trimEnd()]);
  await assertAllVerify(storage);
  // The storage host notices the end when it tries again to send, which it does ever more rarely.
  const isGone = () => namesIn(`${storage}/.plasma/incoming`).length === 0;
  await until("the torn upload is gone", isGone, 90);
  const destination = `ssh://${settings.login}@${cable.here}:${settings.port}${storage}`;
  await assertNothingLeft(storage, destination);
}

// One test, because they all wait, and can do so at the same time.
testThatNeeds(
  ["root", "program ip"],
  "whoever never answers, asks or ends is given up (rows 14, 25, 26, 38)",
  async () => {
    await Promise.all([
      handshakeStalls(),
      requestNeverComes(),
      hookIgnoresTerm(),
      hostIsOutOfReach(),
      networkGoesSilent(),
    ]);
  },
);
