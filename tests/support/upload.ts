import { assertEquals } from "@std/assert";
import { archivesIn, TemporaryFolder } from "./folders.ts";
import { plasma, startPlasma } from "./plasma.ts";
import { descendant, processes } from "./processes.ts";
import {
  assertNothingLeft,
  listedIn,
  longUpload,
  runFolders,
  slowly,
  untilMidUpload,
  writeLargeData,
} from "./runs.ts";
import { Sshd } from "./sshd.ts";
import { ageUploads, assertAllVerify, fingerprints } from "./storage.ts";

/** A storage folder with an archive, and an agent in the middle of an upload of the next one. */
export class UploadUnderWay implements AsyncDisposable {
  private constructor(
    readonly folder: TemporaryFolder,
    readonly sshd: Sshd | undefined,
    readonly storage: string,
    readonly destination: string,
    readonly args: readonly string[],
    readonly before: readonly string[],
    readonly agent: ReturnType<typeof startPlasma>,
  ) {}

  /** @param middle so many bytes have come in when it returns */
  static async start(
    way: "local" | "ssh",
    { flags = slowly as readonly string[], bytes = longUpload, middle = 4 << 20 } = {},
  ): Promise<UploadUnderWay> {
    const folder = new TemporaryFolder();
    const sshd = way === "ssh" ? await Sshd.start() : undefined;
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const destination = sshd?.destination(storage) ?? [storage];
    const args = ["backup", "--to", ...destination, folder.at("data")];
    const first = await plasma(args);
    assertEquals(first.code, 0, first.stderr);
    const before = await fingerprints(storage);
    writeLargeData(folder, bytes);
    const agent = startPlasma([...args, ...flags]);
    await untilMidUpload(storage, middle);
    assertEquals(runFolders(destination[0]!).length, 1);
    return new UploadUnderWay(folder, sshd, storage, destination[0]!, args, before, agent);
  }

  get pid(): number {
    return this.agent.child.pid;
  }

  /** The process of this upload that has this role. */
  async processOf(role: Role): Promise<number> {
    switch (role) {
      case "agent":
        return this.pid;
      case "tar":
        return await descendant(this.pid, /^\S*tar /);
      case "ssh":
        return await descendant(this.pid, /^\S*ssh .* serve$/);
      case "ssh master":
        return await this.#master();
      case "sshd child":
        return await descendant(this.sshd!.pid, /^sshd: /);
      case "plasma serve":
        return await descendant(this.sshd!.pid, /plasma.* serve$/);
    }
  }

  async #master(): Promise<number> {
    const [run] = runFolders(this.destination);
    const own = (await processes()).find(({ command }) =>
      command.startsWith(`ssh: /run/plasma/${run}/`)
    );
    return own!.pid;
  }

  /** Nothing of the torn upload counts, earlier archives are untouched, the next run cleans up. */
  async assertHarmless(): Promise<void> {
    assertEquals(await fingerprints(this.storage), this.before);
    assertEquals(await listedIn(this.storage), archivesIn(this.storage));
    Deno.removeSync(this.folder.at("data/large"));
    await ageUploads(this.storage);
    const next = await plasma(this.args);
    assertEquals(next.code, 0, next.stderr);
    const after = await fingerprints(this.storage);
    assertEquals([after.length, after.filter((line) => this.before.includes(line))], [
      this.before.length + 1,
      this.before,
    ]);
    await assertAllVerify(this.storage);
    await assertNothingLeft(this.storage, this.destination);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.agent.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.agent.output;
    await this.sshd?.[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

/** Who takes part in an upload. */
export type Role = "agent" | "tar" | "ssh" | "ssh master" | "sshd child" | "plasma serve";
