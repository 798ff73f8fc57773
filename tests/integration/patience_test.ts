import { assertEquals, assertMatch } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { piped, plasma, startPlasma, untilEnded } from "../support/plasma.ts";
import { untilNoProcessNames } from "../support/processes.ts";
import { assertNothingLeft, writeConfig } from "../support/runs.ts";

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

// One test, because they all wait, and can do so at the same time.
Deno.test("whoever never answers, asks or ends is given up", async () => {
  await Promise.all([handshakeStalls(), requestNeverComes(), hookIgnoresTerm()]);
});
