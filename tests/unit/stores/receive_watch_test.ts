import { assert, assertEquals } from "@std/assert";
import { ReceiveWatch } from "../../../src/stores/receive_watch.ts";
import { start } from "../../../src/system/process.ts";

/** A program that reads all and is watched until it ends, or is killed. */
async function watched(
  script: string,
  limits: { idleSeconds?: number },
  isTooMuch = false,
): Promise<{ code: string | undefined; signal: string | null; read: number }> {
  const child = await start({ program: "sh", args: ["-c", script] });
  let read = 0;
  using watch = new ReceiveWatch(child.process.pid!, limits, {
    isTooMuch: () => isTooMuch,
    onRead: (bytes) => read = bytes,
    kill: () => child.kill("SIGKILL"),
  });
  const { signal } = await child.exited;
  return { code: watch.broken?.code, signal, read };
}

Deno.test("row 51: ReceiveWatch ends what neither reads nor writes for too long", async () => {
  const begin = performance.now();
  const { code, signal } = await watched("exec sleep 60", { idleSeconds: 0.5 });
  assertEquals([code, signal], ["idle", "SIGKILL"]);
  assert(performance.now() - begin < 20_000);
});

Deno.test("row 51: ReceiveWatch ends what brings too much", async () => {
  const { code, signal } = await watched("exec sleep 60", { idleSeconds: 2 }, true);
  assertEquals([code, signal], [undefined, "SIGKILL"]);
});

Deno.test("row 51: ReceiveWatch ends what waits though the program has ended", async () => {
  const child = await start({ program: "sleep", args: ["60"] });
  const ended = await start({ program: "true", args: [] });
  await ended.exited;
  const kill = () => child.kill("SIGKILL");
  const hooks = { isTooMuch: () => false, onRead() {}, kill };
  using watch = new ReceiveWatch(ended.process.pid!, { idleSeconds: 0.5 }, hooks);
  assertEquals([(await child.exited).signal, watch.broken?.code], ["SIGKILL", "idle"]);
});

Deno.test("ReceiveWatch lets alone what goes on within its limits", async () => {
  const script = "i=0; while [ $i -lt 15 ]; do head -c 1000 /dev/zero >/dev/null; sleep 0.1; " +
    "i=$((i + 1)); done";
  const { code, signal, read } = await watched(script, { idleSeconds: 1 });
  assertEquals([code, signal], [undefined, null]);
  assert(read > 5_000, "it is told what was read");
});
