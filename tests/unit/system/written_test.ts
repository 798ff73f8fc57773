import { assertEquals } from "@std/assert";
import { start } from "../../../src/system/process.ts";
import {
  canCountWritten,
  countingScript,
  writtenInAll,
  writtenSoFar,
} from "../../../src/system/written.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { until } from "../../support/sh.ts";

async function count(script: string) {
  using folder = new TemporaryFolder();
  const [path, file] = [`${folder.path}/script`, `${folder.path}/bytes`];
  Deno.writeTextFileSync(path, countingScript + script);
  const child = await start({ program: "sh", args: [path, file] });
  const { code } = await child.exited;
  return { code, bytes: writtenInAll(file), messages: child.messages.lines };
}

Deno.test("countingScript counts what children write, and leaves the status alone", async () => {
  const none = { messages: [] };
  assertEquals(await count("true"), { code: 0, bytes: 0, ...none });
  assertEquals(await count("exit 7"), { code: 7, bytes: 0, ...none });
  const once = "head -c 1000000 /dev/zero || exit\n";
  assertEquals(await count(once + once), { code: 0, bytes: 2_000_000, ...none });
  assertEquals(await count(`${once}sh -c 'exit 9' || exit\n${once}`), {
    code: 9,
    bytes: 1_000_000,
    ...none,
  });
  const killed = `${once}sh -c 'kill -PIPE $$' || exit\n`;
  assertEquals(await count(killed), { code: 141, bytes: 1_000_000, ...none });
});

Deno.test("writtenInAll() knows nothing of a script that was killed", async () => {
  assertEquals((await count("kill -KILL $$")).bytes, undefined);
});

Deno.test("writtenSoFar() counts while a child still writes", async () => {
  assertEquals(await canCountWritten(), true);
  const script = "sh -c 'head -c 1000000 /dev/zero; exec sleep 60'; true";
  const child = await start({ program: "sh", args: ["-c", script] });
  try {
    await until("it was written", async () => {
      return (await writtenSoFar(child.process.pid!) ?? 0) >= 1_000_000;
    });
    assertEquals(await writtenSoFar(child.process.pid!), 1_000_000);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});
