import { assertEquals } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "./folders.ts";
import { plasma, type PlasmaOptions, type PlasmaOutput, startPlasma } from "./plasma.ts";
import { processes } from "./processes.ts";
import { assertNothingLeft, listedIn } from "./runs.ts";
import { sh, tryRun, until } from "./sh.ts";
import { type Need, testThatNeeds } from "./skip.ts";
import { assertAllVerify, unpack } from "./storage.ts";

/** Register a test on a real btrfs, in an image file. */
export function btrfsTest(
  name: string,
  run: (site: Site) => Promise<void>,
  needs: readonly Need[] = [],
) {
  testThatNeeds(["root", "program btrfs", "program mkfs.btrfs", ...needs], name, async () => {
    await using site = await Site.create();
    await run(site);
  });
}

/** A subvolume as `plasma backup --dry-run --json` has it, or another place. */
export interface Place {
  readonly path: string;
  readonly reason: string;
}

/** What `plasma backup --dry-run --json` prints. */
export interface Coverage {
  readonly folders: readonly {
    readonly folder: string;
    readonly snapshots: readonly Place[];
    readonly live: readonly Place[];
    readonly skipped: readonly Place[];
  }[];
  readonly warnings: readonly string[];
  readonly problems: readonly string[];
}

/** A run that hangs is killed after so many milliseconds, and the test fails. */
const longestRun = 60_000;

/**
 * A folder with a btrfs at `btrfs`, a storage folder outside of it, and what else a test mounts and
 * starts; all of it goes with its scope. Names are relative to the folder.
 */
export class Site implements AsyncDisposable {
  readonly #folder = new TemporaryFolder();
  readonly #runs: ReturnType<typeof startPlasma>[] = [];
  readonly #tops: string[] = [];
  #configs = 0;
  readonly storage = this.addStorage("storage");

  static async create(): Promise<Site> {
    const site = new Site();
    try {
      await site.addBtrfs("btrfs");
      return site;
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
  }

  get path(): string {
    return this.#folder.path;
  }

  at(name: string): string {
    return this.#folder.at(name);
  }

  write(name: string, content: string | Uint8Array = `content of ${name}`): string {
    return this.#folder.write(name, content);
  }

  read(name: string): string {
    return Deno.readTextFileSync(this.at(name));
  }

  makeFolder(name: string): string {
    Deno.mkdirSync(this.at(name), { recursive: true });
    return this.at(name);
  }

  /** Make a storage folder. */
  addStorage(name: string): string {
    return this.#folder.storage(name, { daily: 1000 });
  }

  /** Make a program that comes first on PATH of all runs; `$real` is the one that it stands for. */
  fake(program: string, script: string): void {
    const real = `real=$(PATH=\${PATH#*:}; command -v ${program})`;
    Deno.chmodSync(this.write(`bin/${program}`, `#!/bin/sh\n${real}\n${script}\n`), 0o755);
  }

  /** Make a btrfs in an image file and mount the top of it. */
  async addBtrfs(name: string, { megabytes = 256, flags = [] as string[] } = {}): Promise<string> {
    const image = this.at(`image${this.#tops.length}`);
    await sh("truncate", "-s", `${megabytes}M`, image);
    await sh("mkfs.btrfs", "-q", ...flags, image);
    const path = await this.mount(name, "-o", "loop", image);
    this.#tops.push(path);
    return path;
  }

  /** Mount something at a folder, which is made: `mount(8)` with these arguments. */
  async mount(name: string, ...args: string[]): Promise<string> {
    const path = this.makeFolder(name);
    await sh("mount", ...args, path);
    return path;
  }

  /** Mount a subvolume of the filesystem that is mounted elsewhere. */
  async mountSubvolume(name: string, subvolume: string, of = "btrfs"): Promise<string> {
    const device = (await sh("findmnt", "-n", "-v", "-o", "SOURCE", this.at(of))).trimEnd();
    return await this.mount(name, "-o", `subvol=${subvolume}`, device);
  }

  async tmpfs(name: string): Promise<string> {
    return await this.mount(name, "-t", "tmpfs", "-o", "size=64m", "plasma-test");
  }

  async bind(from: string, to: string): Promise<string> {
    return await this.mount(to, "--bind", this.at(from));
  }

  /** Make a subvolume, and the folders above it. */
  async subvolume(name: string): Promise<string> {
    this.makeFolder(name.slice(0, name.lastIndexOf("/")));
    await sh("btrfs", "-q", "subvolume", "create", "--", this.at(name));
    return this.at(name);
  }

  async makeReadOnly(name: string): Promise<void> {
    await sh("btrfs", "property", "set", this.at(name), "ro", "true");
  }

  /** The config of an agent that archives these folders. */
  config(folders: readonly string[], more: object = {}): string {
    return this.write(
      `agent${this.#configs++}.json`,
      JSON.stringify({
        strategy: "btrfs-snapshot",
        folders: folders.map((name) => this.at(name)),
        remoteFolder: this.storage,
        ...more,
      }),
    );
  }

  start(folders: readonly string[], more: object = {}, options: PlasmaOptions = {}) {
    const run = startPlasma(["backup", "--config", this.config(folders, more)], {
      ...options,
      environment: { ...this.environment, ...options.environment },
    });
    this.#runs.push(run);
    const timer = setTimeout(() => killIfRunning(() => run.child.kill("SIGKILL")), longestRun);
    run.output.finally(() => clearTimeout(timer));
    return run;
  }

  async backUp(
    folders: readonly string[],
    more: object = {},
    options: PlasmaOptions = {},
  ): Promise<PlasmaOutput> {
    return await this.start(folders, more, options).output;
  }

  /** Back up, and make sure that all is well and nothing is left behind. */
  async backUpWell(folders: readonly string[], more: object = {}): Promise<PlasmaOutput> {
    const result = await this.backUp(folders, more);
    assertEquals(result.code, 0, result.stderr);
    await this.assertNothingLeft();
    return result;
  }

  async coverage(folders: readonly string[], more: object = {}): Promise<Coverage> {
    const args = ["backup", "--dry-run", "--json", "--config", this.config(folders, more)];
    const { code, stdout, stderr } = await plasma(args, { environment: this.environment });
    assertEquals(code, 0, stderr);
    return JSON.parse(stdout);
  }

  get environment(): Record<string, string> {
    return { PATH: `${this.at("bin")}:${Deno.env.get("PATH")}` };
  }

  /** Where the newest archive is. */
  get archive(): string {
    return `${this.storage}/${archivesIn(this.storage).at(-1)}`;
  }

  /** The members of the newest archive that lie in the site, sorted; quoted as tar(1) does it. */
  async members(): Promise<string[]> {
    const text = await sh("tar", "--list", "--quoting-style=escape", "--file", this.archive);
    const top = `${this.path.slice(1)}/`;
    return text.split("\n").filter((line) => line.startsWith(top))
      .map((line) => line.slice(top.length).replace(/\/$/, "")).filter((name) => name !== "")
      .sort();
  }

  /** Unpack the newest archive; returns the name of the folder that is the site's restored twin. */
  async restore(name = "restored"): Promise<string> {
    await unpack(this.archive, this.at(name));
    return name + this.path;
  }

  /** The subvolumes below `.plasma` at the top levels of all btrfs of the site, and elsewhere. */
  async snapshots(): Promise<string[]> {
    const lists = await Promise.all(this.#tops.map((top) => sh("btrfs", "subvolume", "list", top)));
    return lists.join("").split("\n").filter((line) => /[ /]\.plasma\//.test(line));
  }

  /** Nothing is left of any run: no snapshot, no folder for them, no mount, process or upload. */
  async assertNothingLeft(): Promise<void> {
    assertEquals(await this.snapshots(), []);
    const notElsewhere = ["!", "-fstype", "btrfs", "-prune", "-o"];
    const folders = await sh("find", ...this.#tops, ...notElsewhere, "-name", ".plasma", "-print");
    assertEquals(folders, "");
    this.assertNoMountLeft();
    await assertNothingLeft(this.storage);
  }

  assertNoMountLeft(): void {
    assertEquals(mountPoints().filter((path) => path.startsWith("/run/plasma/")), []);
  }

  /** Every archive that is listed is whole. */
  async assertArchivesAreWhole(): Promise<void> {
    assertEquals(await listedIn(this.storage), archivesIn(this.storage));
    await assertAllVerify(this.storage);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#runs) killIfRunning(() => child.kill("SIGKILL"));
    await this.#endProcesses();
    await Promise.all(this.#runs.map(({ output }) => output));
    await this.#unmount();
    this.#folder[Symbol.dispose]();
  }

  /** What runs have left running: every command line has the site's folder in it. */
  async #endProcesses(): Promise<void> {
    await until("no process names the site", async () => {
      const left = (await processes()).filter(({ pid, command }) =>
        pid !== Deno.pid && command.includes(`${this.path}/`)
      );
      for (const { pid } of left) killIfRunning(() => Deno.kill(pid, "SIGKILL"));
      return left.length === 0;
    });
  }

  async #unmount(): Promise<void> {
    const inSite = () => mountPoints().filter((path) => path.startsWith(`${this.path}/`));
    for (const path of inSite().reverse()) {
      const { code } = await tryRun("umount", path);
      if (code !== 0) await tryRun("umount", "--lazy", path);
    }
    assertEquals(inSite(), []);
  }
}

function killIfRunning(kill: () => void): void {
  try {
    kill();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
  }
}

/** Where something is mounted, in the order in which it was; read without the program's own code. */
function mountPoints(): string[] {
  const octal = (text: string) =>
    text.replaceAll(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8)));
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .flatMap((line) => line === "" ? [] : [octal(line.split(" ")[4]!)]);
}

/** The names of the snapshots in a btrfs of the site; its top level is mounted there. */
export const snapshotsOf = (site: Site, of = "btrfs") => namesIn(`${site.at(of)}/.plasma`);

/** The names of the snapshots of one subvolume. */
export async function snapshotsOfSubvolume(site: Site, name: string): Promise<string[]> {
  const id = (await sh("btrfs", "inspect-internal", "rootid", site.at(name))).trim();
  return snapshotsOf(site, name.split("/")[0]).filter((name) =>
    new RegExp(`-${id}(\\.sent)?$`).test(name)
  );
}
