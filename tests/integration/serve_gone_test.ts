import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { privatePlace } from "../../src/system/private_place.ts";
import { writeSidecar } from "../support/archives.ts";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { bytesReadBy, descendant, descendants, processes } from "../support/processes.ts";
import { request, serve } from "../support/serve.ts";
import { sh, until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

/** Clients that ask for what takes long, and then are gone or take nothing of the answer. */

/** An archive that takes minutes to read through: Zstandard reads frames one after the other. */
async function storeCostly(storage: string): Promise<string> {
  const name = "20250301-0000-daily.tar.zst";
  const script =
    'head -c 1G /dev/zero | zstd --quiet >"$1.one"; for i in $(seq 400); do cat "$1.one"; done';
  const path = `${storage}/${name}`;
  await sh("sh", "-c", `(${script}) >"$1" && rm "$1.one"`, "sh", path);
  await writeSidecar(storage, name);
  return name;
}

/** A `plasma serve` that was asked something, and whose answer nobody reads yet. */
class Asked implements AsyncDisposable {
  private constructor(readonly child: Deno.ChildProcess) {}

  static async start(line: string, flags: readonly string[]): Promise<Asked> {
    const child = new Deno.Command(plasmaProgram, {
      args: ["serve", ...flags],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(line));
    // As ssh does it: nothing more comes.
    await writer.close();
    return new Asked(child);
  }

  get pid(): number {
    return this.child.pid;
  }

  /** How it has ended by itself, and its last words. */
  async end(): Promise<{ code: number; stderr: string }> {
    await untilEnded(this.pid);
    const { code } = await this.child.status;
    return { code, stderr: await new Response(this.child.stderr).text() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.child.status;
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (!stream.locked) await stream.cancel();
    }
  }
}

const isRunning = async (pid: number) => (await processes()).some((other) => other.pid === pid);
const untilEnded = (pid: number) =>
  until(`process ${pid} has ended`, async () => !await isRunning(pid));

/** The folders for pipes that a process has in use. */
function pipeFolders(pid: number): string[] {
  const links = namesIn(`/proc/${pid}/fd`).map((file) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${file}`);
    } catch {
      return "";
    }
  });
  return links.flatMap((link) => /^.*\/pipes-[^/]+/.exec(link) ?? []);
}

const hasJournal = (storage: string) => namesIn(`${storage}/.plasma`).includes("journal.jsonl");

testThatNeeds(
  ["program zstd"],
  "row 51: a verification that nobody waits for any more is ended, and not noted",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const name = await storeCostly(storage);
    const line = request("verify", { folder: storage, name, deep: true });
    await using asked = await Asked.start(line, ["--root", storage, "--idle-timeout", "2s"]);
    const programs = [await descendant(asked.pid, /zstd/), await descendant(asked.pid, /tar/)];
    const folders = pipeFolders(asked.pid);
    assert(folders.length > 0);
    await asked.child.stdout.cancel();
    const { code, stderr } = await asked.end();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "nobody takes what is answered");
    for (const pid of programs) await untilEnded(pid);
    assertEquals([hasJournal(storage), folders.flatMap(namesIn)], [false, []]);
  },
);

Deno.test("row 51: so is one that only reads the bytes of an archive", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const name = "20250301-0000-daily.tar";
  await sh("truncate", "--size=1T", `${storage}/${name}`);
  folder.write(`storage/${name}.sha256`, `${"0".repeat(64)}  ${name}\n`);
  const line = request("verify", { folder: storage, name });
  await using asked = await Asked.start(line, ["--root", storage, "--idle-timeout", "2s"]);
  await until("it is reading", () => bytesReadBy(asked.pid) > 256 << 20);
  await asked.child.stdout.cancel();
  assertEquals((await asked.end()).code, 1);
  assertEquals(hasJournal(storage), false);
});

testThatNeeds(
  ["program zstd"],
  "row 51: so is one whose ssh connection has ended, and until then it goes on",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const name = await storeCostly(storage);
    const limits = `--root ${storage} --allow read --idle-timeout 2s`;
    await using sshd = await Sshd.start({
      forcedOptions: `command="${plasmaProgram} serve ${limits}",restrict`,
    });
    const agent = new Deno.Command(plasmaProgram, {
      args: ["verify", "--deep", name, "--from", ...sshd.destination(storage)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const tar = await descendant(sshd.pid, /tar .*--list/);
    // Several spaces have been written meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert(await isRunning(tar));
    const clients = (await descendants(agent.pid)).filter(({ command }) => /^ssh /.test(command));
    for (const { pid } of [agent, ...clients]) Deno.kill(pid, "SIGKILL");
    await agent.status;
    await untilEnded(tar);
    assertEquals(hasJournal(storage), false);
  },
);

testThatNeeds(
  ["program zstd"],
  "row 51: the answer to a verification that takes long is understood",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const name = "20250301-0000-daily.tar.zst";
    await sh("truncate", "--size=512M", folder.at("zeros"));
    await sh("tar", "-C", folder.path, "--zstd", "-cf", `${storage}/${name}`, "zeros");
    await writeSidecar(storage, name);
    const program = `${plasmaProgram} serve --root ${storage} --idle-timeout 1s`;
    await using sshd = await Sshd.start({
      forcedOptions: `command="${program} | tee -a ${folder.at("answers")}",restrict`,
    });
    const far = ["--from", ...sshd.destination(storage)];
    const { code, stderr } = await plasma(["verify", "--deep", ...far]);
    assertEquals(code, 0, stderr);
    const answers = Deno.readTextFileSync(folder.at("answers"));
    assertMatch(answers, /^ +\{.*"state":"ok".*\}$/m);
  },
);

testThatNeeds(
  ["program zstd"],
  "row 51: verifications keep nobody out but other verifications",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const name = await storeCostly(storage);
    const flags = ["--root", storage, "--idle-timeout", "2s"];
    const line = request("verify", { folder: storage, name, deep: true });
    await using first = await Asked.start(line, flags);
    await using second = await Asked.start(line, flags);
    for (const { pid } of [first, second]) await descendant(pid, /zstd/);
    await using third = await Asked.start(line, flags);
    assertEquals((await third.end()).code, 1);
    const { error } = JSON.parse(await new Response(third.child.stdout).text());
    assertEquals(error.code, "busy");
    assertStringIncludes(error.message, "2 verifications of this key");
    // All places for what is short are free.
    const { dev, ino } = Deno.statSync(storage);
    const places = `${privatePlace()}/places`;
    const short = namesIn(places).filter((name) => name.startsWith(`serve-${dev}-${ino}.`));
    assert(short.length > 0);
    for (const place of short) await sh("flock", "--nonblock", `${places}/${place}`, "true");
  },
);

Deno.test("row 51: who takes nothing of an answer or an archive is given up", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const name = "20250301-0000-daily.tar";
  folder.write(`storage/${name}`, new Uint8Array(3 << 20));
  for (let number = 0; number < 2000; number++) {
    folder.write(`storage/${number}-${"x".repeat(100)}`, "");
  }
  for (const verb of ["fetch", "list"]) {
    const line = request(verb, { folder: storage, name });
    await using asked = await Asked.start(line, ["--idle-timeout", "1s"]);
    const { code, stderr } = await asked.end();
    assertEquals(code, 1, verb);
    assertStringIncludes(stderr, "nothing was taken for 1 s", verb);
  }
  const { ok, answer } = await serve(request("list", { folder: storage }));
  assertEquals([ok, (answer.archives as unknown[]).length], [true, 1]);
});
