import { assert, assertEquals, assertRejects } from "@std/assert";
import fs from "node:fs";
import { PlasmaError } from "../../../src/errors.ts";
import { isLocked, Lock, lockOpenFile } from "../../../src/system/lock.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { modeOf } from "../../support/modes.ts";
import { until } from "../../support/sh.ts";

Deno.test("a lock is held by one at a time, and free again at the end of its scope", async () => {
  using folder = new TemporaryFolder();
  const path = folder.at("lock");
  assertEquals(await isLocked(path), false);
  {
    using lock = await Lock.take(path);
    assert(lock !== undefined);
    assertEquals([await isLocked(path), await Lock.take(path)], [true, undefined]);
  }
  assertEquals(await isLocked(path), false);
  using again = await Lock.take(path);
  assert(again !== undefined);
  assertEquals(modeOf(path), 0o600);
});

Deno.test("a lock that is held can be waited for", async () => {
  using folder = new TemporaryFolder();
  const first = await Lock.take(folder.at("lock"));
  const waiting = Lock.take(folder.at("lock"), { waitSeconds: 60 });
  first![Symbol.dispose]();
  using second = await waiting;
  assert(second !== undefined);
});

Deno.test("the lock of a process that is killed is free at once", async () => {
  using folder = new TemporaryFolder();
  const path = folder.write("lock", "");
  const holder = new Deno.Command("flock", {
    args: ["--no-fork", path, "sleep", "1000"],
    stdin: "null",
  }).spawn();
  await until("the other process holds the lock", () => isLocked(path));
  assertEquals(await Lock.take(path), undefined);
  holder.kill("SIGKILL");
  await holder.status;
  using lock = await Lock.take(path);
  assert(lock !== undefined);
});

Deno.test("children of the holder do not keep its lock", async () => {
  using folder = new TemporaryFolder();
  const lock = await Lock.take(folder.at("lock"));
  const child = new Deno.Command("sleep", { args: ["1000"], stdin: "null" }).spawn();
  lock![Symbol.dispose]();
  assertEquals(await isLocked(folder.at("lock")), false);
  child.kill("SIGKILL");
  await child.status;
});

Deno.test("a lock's file that cannot be opened is an error, and not a lock that is held", async () => {
  using folder = new TemporaryFolder();
  await assertRejects(() => Lock.take(folder.at("missing/lock")), PlasmaError, "cannot open");
});

Deno.test("lockOpenFile() locks a file that is open for reading only", async () => {
  using folder = new TemporaryFolder();
  const path = folder.write("file", "");
  const file = fs.openSync(path, "r");
  assertEquals([await lockOpenFile(file), await isLocked(path)], [true, true]);
  fs.closeSync(file);
});
