import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { modeOf } from "../support/modes.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { request } from "../support/serve.ts";
import { sh, until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

/** Who owns a folder above a storage folder can put another one in its place at any moment. */

const dayAfter = (days: number) => Temporal.PlainDate.from("2005-01-01").add({ days }).toString();

/** Exchanges a folder for a link to another one and back, until it is killed. */
const exchange = `import os, sys
folder, target = sys.argv[1:]
while True:
    try:
        os.rename(folder, folder + ".real")
        os.symlink(target, folder)
        os.unlink(folder)
        os.rename(folder + ".real", folder)
    except OSError:
        pass
`;

/** The same at once (RENAME_EXCHANGE), and now and then only. */
const exchangeSlowly = `import ctypes, os, random, sys, time
file, target = sys.argv[1:]
link = file + ".link"
os.symlink(target, link)
while True:
    ctypes.CDLL(None).renameat2(-100, file.encode(), -100, link.encode(), 2)
    time.sleep(random.random() * 0.03)
`;

async function end(racer: Deno.ChildProcess): Promise<Deno.CommandStatus> {
  try {
    racer.kill("SIGKILL");
  } catch {
    // It has ended.
  }
  return await racer.status;
}

async function racing(
  folder: string,
  target: string,
  work: () => Promise<void>,
  script = exchange,
): Promise<void> {
  const racer = new Deno.Command("python3", {
    args: ["-c", script, folder, target],
    stdin: "null",
    stderr: "null",
  }).spawn();
  try {
    await work();
  } finally {
    const { signal } = await end(racer);
    assertEquals(signal, "SIGKILL", "the attacker gave up");
  }
}

Deno.test("row 83: a rotation deletes in no other folder", async () => {
  using folder = new TemporaryFolder();
  const mine = folder.storage("mine", { daily: 5 });
  const victim = folder.storage("victim", { daily: 5 });
  const names = Array.from(
    { length: 6000 },
    (_, index) => `${dayAfter(index).replaceAll("-", "")}-0000-daily.tar`,
  );
  for (const place of [mine, victim]) {
    for (const name of names) Deno.writeTextFileSync(`${place}/${name}`, "");
  }
  const { child, output } = startPlasma(["rotate", mine]);
  await until("the rotation has begun to delete", () => namesIn(mine).length < names.length);
  child.kill("SIGSTOP");
  Deno.renameSync(mine, folder.at("moved"));
  Deno.symlinkSync(victim, mine);
  child.kill("SIGCONT");
  const { code, lastLine } = await output;
  assertEquals(archivesIn(victim), names);
  const left = archivesIn(folder.at("moved")).length;
  assert(left < names.length, "some were deleted where they were");
  if (left > 5) {
    assertEquals(code, 1);
    assertStringIncludes(lastLine, "has been moved or replaced meanwhile");
  }
});

testThatNeeds(["program python3"], "row 83: no mode is changed through a link", async () => {
  using folder = new TemporaryFolder();
  const victim = folder.write("victim/file", "x").slice(0, -"/file".length);
  Deno.chmodSync(victim, 0o755);
  const storage = folder.storage("storage");
  await racing(`${storage}/.plasma`, victim, async () => {
    for (let round = 0; round < 20; round++) {
      await plasma(["rotate", storage], { through: ["timeout", "30"] });
      for (const name of [".plasma", ".plasma.real"]) {
        try {
          const path = `${storage}/${name}`;
          if (!Deno.lstatSync(path).isSymlink) Deno.removeSync(path, { recursive: true });
        } catch {
          // It has moved.
        }
      }
    }
  });
  assertEquals(modeOf(victim), 0o755);
  assert(Deno.lstatSync(`${victim}/file`).isFile);
});

testThatNeeds(["program python3"], "row 83: only the archive itself is read", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const name = "20250101-0000-daily.tar";
  for (const [content, tar] of [["mine", `storage/${name}`], ["secret", "secret.tar"]] as const) {
    folder.write(`${content}/${content}`, content);
    await sh("tar", "-cf", folder.at(tar), "-C", folder.at(content), content);
  }
  const target = folder.at("target");
  const seen = new Set<string>();
  await racing(`${storage}/${name}`, folder.at("secret.tar"), async () => {
    for (let round = 0; round < 20; round++) {
      await plasma(["restore", name, "--from", storage, "--target", target], {
        through: ["timeout", "30"],
      });
      for (const name of namesIn(target)) seen.add(name);
      await Deno.remove(target, { recursive: true }).catch(() => {});
      const fetched = await plasma(["serve"], {
        stdin: request("fetch", { folder: storage, name }),
        through: ["timeout", "30"],
      });
      if (fetched.stdout.includes("secret")) seen.add("secret");
    }
  }, exchangeSlowly);
  assertEquals(seen.has("secret"), false, [...seen].join());
});
