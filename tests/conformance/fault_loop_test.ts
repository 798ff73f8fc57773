import { assert, assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasmaProgram } from "../support/plasma.ts";
import { tryRun } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { ageUploads, assertAllVerify, fingerprints } from "../support/storage.ts";

/**
 * Fault loops as SQLite has them: the 1st, the 2nd, the 3rd ... system call of a kind goes wrong,
 * until a run gets through clean; after each run what is stored is looked at.
 */

/** More calls of a kind than this no run makes. */
const tooMany = 40;

/** A storage folder with archives that no fault may touch, and something to back up. */
class Scene implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly storage = this.folder.storage("storage", { daily: 100, weekly: 100, monthly: 100 });
  readonly #args: readonly string[];
  #known: string[] = [];

  constructor() {
    this.folder.write("source/file", "content".repeat(1000));
    this.#args = ["backup", "--to", this.storage, this.folder.at("source")];
  }

  /** Make a backup. */
  run() {
    return tryRun(plasmaProgram, ...this.#args);
  }

  /** Make a backup while strace(1) spoils a call. */
  async runSpoilt(calls: string, fault: string, { threads = true } = {}) {
    const log = this.folder.at("log");
    // With --seccomp-bpf it would be faster, but not all injected signals arrive.
    const trace = ["-y", "-e", `trace=${calls}`, "-e", `inject=${calls}:${fault}`, "-o", log];
    if (threads) trace.push("-f");
    const output = await tryRun("strace", ...trace, plasmaProgram, ...this.#args);
    return { ...output, spoilt: spoiltFiles(Deno.readTextFileSync(log)) };
  }

  /** What was stored before is as it was, and what is new is whole; returns how much is new. */
  async look(): Promise<number> {
    const before = this.#known;
    this.#known = await fingerprints(this.storage);
    assertEquals(this.#known.filter((archive) => before.includes(archive)), before);
    const compare = ["--compare", "--directory=/", "--file"];
    for (const name of archivesIn(this.storage).slice(before.length)) {
      const { code } = await tryRun("tar", ...compare, `${this.storage}/${name}`);
      assertEquals(code, 0, `${name} is whole`);
    }
    return this.#known.length - before.length;
  }

  /** Nothing is left that another run would have to remove. */
  async assertTidy(what: string): Promise<void> {
    assertEquals(namesIn(`${this.storage}/.plasma/incoming`), [], what);
    await assertAllVerify(this.storage);
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

/** The paths of the files whose calls were spoilt: each thread counts its calls by itself. */
function spoiltFiles(log: string): string[] {
  const files = new Map<string, string>();
  return log.split("\n").flatMap((line) => {
    // A line is "[THREAD] call(...) = result", or such a line in two pieces.
    const thread = /^(\d+ +)?/.exec(line)![0];
    const path = (/"(\/[^"]*)"/.exec(line) ?? /<(\/[^>]*)>/.exec(line))?.[1];
    if (path !== undefined) files.set(thread, path);
    return line.endsWith("(INJECTED)") ? [files.get(thread) ?? "unknown"] : [];
  });
}

/**
 * Let the Nth call of a kind fail for N = 1, 2, ...; returns those in the storage with which the run
 * failed: "part", "received" ..., or the name of a folder.
 */
async function failEach(calls: string, error: string, options = {}): Promise<string[]> {
  using scene = new Scene();
  const failures: string[] = [];
  for (let when = 1; when < tooMany; when++) {
    const fault = `error=${error}:when=${when}`;
    const { code, stderr, spoilt } = await scene.runSpoilt(calls, fault, options);
    const what = `${calls} of ${spoilt} fails with ${error}: status ${code}: ${stderr}`;
    assert(code === 1 || code === 0, what);
    assertEquals(await scene.look(), code === 0 ? 1 : 0, what);
    await scene.assertTidy(what);
    assertEquals(stderr.includes("internal error"), false, what);
    if (spoilt.length === 0) {
      assertEquals(code, 0, what);
      return failures;
    }
    // Deno keeps a cache of its own.
    const own = spoilt.filter((path) => path.startsWith(scene.storage));
    if (code === 1) {
      assertMatch(stderr, /input\/output error|no space left/i, what);
      failures.push(...own.map((path) => path.replace(/-[0-9a-f]{16}$/, "").split(/[./]/).at(-1)!));
    }
  }
  throw new Error(`more than ${tooMany} calls of ${calls}`);
}

testThatNeeds(
  ["program strace"],
  "whichever fsync fails, nothing is listed that may not be on the disk",
  async () => {
    // Calls are counted for each thread on its own, and the archive's is made in another one.
    const failures = [
      ...await failEach("fsync", "EIO"),
      ...await failEach("fsync", "EIO", { threads: false }),
    ];
    assertEquals(new Set(failures), new Set(["part", "received", "sha256", "storage"]));
    assertEquals(await failEach("fdatasync", "EIO"), ["plasma-probe"]);
  },
);

testThatNeeds(
  ["program strace"],
  "whichever link fails for want of space, what is there stays whole (row 31)",
  async () => {
    // The probe of hello, that before the upload, the sidecar, the archive.
    assertEquals(await failEach("linkat", "ENOSPC"), ["plasma-probe", "part", "sha256", "part"]);
  },
);

testThatNeeds(
  ["program strace"],
  "at whichever step a run is killed, the next run goes well and removes what it left (row 23)",
  async () => {
    using scene = new Scene();
    const steps: Record<string, number> = { fsync: 0, linkat: 0, unlink: 0 };
    for (const calls of Object.keys(steps)) {
      for (let when = 1; when < tooMany; when++) {
        const what = `killed at ${calls} number ${when}`;
        const { code } = await scene.runSpoilt(calls, `signal=KILL:when=${when}`);
        const added = await scene.look();
        assert(added <= 1, what);
        if (code === 0) break;
        steps[calls] = when;
        await ageUploads(scene.storage);
        const next = await scene.run();
        assertEquals(next.code, 0, `${what}: ${next.stderr}`);
        assertEquals(await scene.look(), 1, what);
        await scene.assertTidy(what);
      }
    }
    const least = steps.fsync! >= 3 && steps.linkat! >= 3 && steps.unlink! >= 3;
    assert(least, `too few steps: ${JSON.stringify(steps)}`);
  },
);

testThatNeeds(
  ["program strace"],
  "row 80: whichever removal fails, the status tells what became of the archive",
  async () => {
    using scene = new Scene();
    const statuses = new Set<number>();
    for (let when = 1; when < tooMany; when++) {
      const fault = `error=EIO:when=${when}`;
      const { code, stderr, spoilt } = await scene.runSpoilt("unlink,unlinkat,rmdir", fault);
      const what = `removal of ${spoilt} fails: status ${code}: ${stderr}`;
      assertEquals(await scene.look(), code === 1 ? 0 : 1, what);
      assert([0, 1, 3].includes(code), what);
      assertEquals(stderr.includes("internal error"), false, what);
      if (code !== 0) assertMatch(stderr, /input\/output error/i, what);
      if (code === 3) assertMatch(stderr, /stored, but .*input\/output error/i, what);
      statuses.add(code);
      if (spoilt.length === 0) break;
    }
    assert(statuses.has(3), `statuses were ${[...statuses]}`);
  },
);
