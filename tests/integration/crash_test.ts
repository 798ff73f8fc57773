import { assertEquals } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { Mount } from "../support/mounts.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { descendants } from "../support/processes.ts";
import {
  assertNothingLeft,
  listedIn,
  slowly,
  untilMidUpload,
  writeLargeData,
} from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { ageUploads, assertAllVerify, fingerprints } from "../support/storage.ts";

/** A storage folder on a disk of its own, which can be looked at as it is after a power cut. */
class Disk implements AsyncDisposable {
  #cuts = 0;

  private constructor(readonly folder: TemporaryFolder, readonly mount: Mount) {}

  static async make(megabytes: number): Promise<Disk> {
    const folder = new TemporaryFolder();
    const mount = await Mount.ext4(folder.at("image"), folder.at("disk"), megabytes);
    folder.storage("disk/storage", { daily: 1000, weekly: 1000, monthly: 1000 });
    await sh("sync", "-f", folder.at("disk"));
    folder.write("data/file", "content");
    return new Disk(folder, mount);
  }

  get storage(): string {
    return this.folder.at("disk/storage");
  }

  get args(): string[] {
    return ["backup", "--to", this.storage, this.folder.at("data")];
  }

  /** The archives that there are after a power cut at this moment; each must verify. */
  async cut(): Promise<string[]> {
    const image = this.folder.at(`cut${++this.#cuts}`);
    await sh("cp", "--sparse=always", this.folder.at("image"), image);
    await using _ = await Mount.image(image, `${image}.mounted`);
    const storage = `${image}.mounted/storage`;
    const archives = archivesIn(storage);
    const check =
      'cd "$0" && for name; do sha256sum --check --strict --quiet "$name.sha256" || exit; done';
    await sh("sh", "-c", check, storage, ...archives);
    // And plasma itself goes on from there.
    const next = await plasma(["backup", "--to", storage, this.folder.at("data")]);
    assertEquals(next.code, 0, next.stderr);
    await assertAllVerify(storage);
    assertEquals(archivesIn(storage), [...archives, next.stdout.trimEnd()].sort());
    return archives;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mount[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

testThatNeeds(
  ["root"],
  "what was acknowledged before a power cut is there and whole after it (row 33)",
  async () => {
    await using disk = await Disk.make(400);
    const acknowledged: string[] = [];
    for (let run = 0; run < 3; run++) {
      const { code, stdout, stderr } = await plasma(disk.args);
      assertEquals(code, 0, stderr);
      acknowledged.push(stdout.trimEnd());
      assertEquals(await disk.cut(), acknowledged.toSorted());
    }
    writeLargeData(disk.folder);
    const { child, output } = startPlasma([...disk.args, ...slowly]);
    for (const megabytes of [4, 20, 36]) {
      await untilMidUpload(disk.storage, megabytes << 20);
      const family = [child.pid, ...(await descendants(child.pid)).map(({ pid }) => pid)];
      for (const pid of family) Deno.kill(pid, "SIGSTOP");
      assertEquals(await disk.cut(), acknowledged.toSorted());
      for (const pid of family) Deno.kill(pid, "SIGCONT");
    }
    const { code, stdout, stderr } = await output;
    assertEquals(code, 0, stderr);
    acknowledged.push(stdout.trimEnd());
    assertEquals(await disk.cut(), acknowledged.toSorted());
  },
);

/** Run a backup in which something is done to every Nth call of a system call. */
async function backupInjected(disk: Disk, injection: string) {
  const trace = disk.folder.at("trace");
  const call = injection.split(":")[0];
  const output = await plasma(disk.args, {
    through: [
      "strace",
      "-f",
      "-q",
      "-o",
      trace,
      "-e",
      `trace=${call}`,
      "-e",
      `inject=${injection}`,
    ],
  });
  return { ...output, injected: /INJECTED|killed by SIGKILL/.test(Deno.readTextFileSync(trace)) };
}

for (const call of ["fsync", "linkat", "unlink"]) {
  testThatNeeds(
    ["root", "program strace"],
    `kill -9 or a power cut at any ${call} tears nothing (rows 23, 33)`,
    async () => {
      await using disk = await Disk.make(64);
      assertEquals((await plasma(disk.args)).code, 0);
      let kills = 0;
      for (let number = 1;; number++) {
        const before = await fingerprints(disk.storage);
        const { signal, code, injected } = await backupInjected(
          disk,
          `${call}:signal=SIGKILL:when=${number}`,
        );
        if (!injected) break;
        kills++;
        assertEquals(signal === "SIGKILL" || code !== 0, true);
        const now = await fingerprints(disk.storage);
        assertEquals(now.filter((line) => before.includes(line)), before);
        assertEquals(await listedIn(disk.storage), archivesIn(disk.storage));
        await disk.cut();
        await ageUploads(disk.storage);
        const next = await plasma(disk.args);
        assertEquals(next.code, 0, next.stderr);
        await assertAllVerify(disk.storage);
        await assertNothingLeft(disk.storage);
      }
      assertEquals(kills >= 2, true, `${kills} kills`);
    },
  );
}
