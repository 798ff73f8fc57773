import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, fromRoot, namesIn } from "../support/folders.ts";
import type { PlasmaOptions, PlasmaOutput } from "../support/plasma.ts";
import { sh, tryRun, until } from "../support/sh.ts";
import { btrfsTest, type Site, snapshotsOf, snapshotsOfSubvolume } from "../support/site.ts";
import type { Need } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

/** What `manifest.json` says of a stored subvolume. */
export interface StoredRecord {
  readonly name: string;
  readonly path: string;
  readonly identity: string;
}

/**
 * A site with a second btrfs at `store` that holds storage folders, and an agent that sends to one of
 * them.
 */
export class Nights {
  readonly storage: string;
  more: object;

  constructor(readonly site: Site, readonly name = "store/backups", more: object = {}) {
    this.storage = site.addStorage(name);
    this.more = { strategy: "btrfs-send", remoteFolder: this.storage, ...more };
  }

  run(options: PlasmaOptions = {}, more: object = {}): Promise<PlasmaOutput> {
    return this.site.backUp(["btrfs/data"], { ...this.more, ...more }, options);
  }

  start(more: object = {}) {
    return this.site.start(["btrfs/data"], { ...this.more, ...more });
  }

  /** A night that goes well: what was stored is what the snapshot holds, and nothing else is left. */
  async runWell(more: object = {}): Promise<PlasmaOutput> {
    const before = this.archives;
    const result = await this.run({}, more);
    assertEquals(result.code, 0, result.stderr);
    assertEquals(this.archives.filter((name) => !before.includes(name)).length, 1, result.stderr);
    assertEquals(namesIn(`${this.storage}/.plasma/incoming`), []);
    await this.assertNewestIsAsSent();
    return result;
  }

  get archives(): string[] {
    return archivesIn(this.storage);
  }

  get newest(): string {
    return `${this.storage}/${this.archives.at(-1)}`;
  }

  records(archive = this.newest): StoredRecord[] {
    return JSON.parse(Deno.readTextFileSync(`${archive}/manifest.json`)).subvolumes;
  }

  /** How many bytes the newest archive took on the wire. */
  get bytes(): number {
    return JSON.parse(Deno.readTextFileSync(`${this.newest}/manifest.json`)).bytes;
  }

  /** The path of a stored subvolume, by that of its source in the site. */
  stored(name = "btrfs/data", archive = this.newest): string {
    const path = this.site.at(name);
    const record = this.records(archive).find((record) => record.path === path);
    if (record === undefined) throw new Error(`${archive} has nothing of ${path}`);
    return `${archive}/${record.name}`;
  }

  /** Every subvolume of the newest archive is as the snapshot that it was sent from. */
  async assertNewestIsAsSent(): Promise<void> {
    for (const { path, name, identity } of this.records()) {
      const source = await findByUuid(this.site, identity);
      assertEquals(await walk(`${this.newest}/${name}`), await walk(source), path);
      assertMatch(await sh("btrfs", "property", "get", `${this.newest}/${name}`, "ro"), /ro=true/);
    }
  }
}

/** A kept snapshot, by its uuid. */
async function findByUuid(site: Site, uuid: string): Promise<string> {
  for (const name of snapshotsOf(site)) {
    const path = site.at(`btrfs/.plasma/${name}`);
    if ((await uuidOf(path)).includes(uuid)) return path;
  }
  throw new Error(`no snapshot with the uuid ${uuid}`);
}

/** The uuid and the received uuid of a subvolume. */
export async function uuidOf(path: string): Promise<string[]> {
  const text = await sh("btrfs", "subvolume", "show", path);
  return [/^\s+UUID:\s+(\S+)/m, /^\s+Received UUID:\s+(\S+)/m].map((one) => one.exec(text)![1]!);
}

/** All that must be preserved of a tree; without the places of subvolumes nested in it. */
export async function walk(path: string): Promise<string[]> {
  const nested = await sh(
    "find",
    path,
    "-mindepth",
    "1",
    "-xdev",
    "-inum",
    "2",
    "-printf",
    "/%P\n",
  );
  const places = nested.split("\n").filter((place) => place !== "")
    .map((place) => place.replaceAll("\\", "\\\\"));
  return (await sh("python3", fromRoot("tests/testdata/walk_tree.py"), path)).split("\n")
    .filter((line) => !places.some((place) => line.startsWith(`b'${place}' `)));
}

/** The paths of the kept snapshots of a subvolume. */
export async function keptOf(site: Site, name = "btrfs/data"): Promise<string[]> {
  return (await snapshotsOfSubvolume(site, name)).filter((name) => name.endsWith(".sent"))
    .map((name) => site.at(`btrfs/.plasma/${name}`));
}

/** Register a test with two btrfs. */
export function sendTest(
  name: string,
  run: (site: Site, nights: Nights) => Promise<void>,
  needs: readonly Need[] = [],
) {
  btrfsTest(name, async (site) => {
    await site.addBtrfs("store");
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file", "first");
    await run(site, new Nights(site));
  }, ["program python3", ...needs]);
}

/** The same over SSH. */
export function sendOverSshTest(
  name: string,
  run: (site: Site, nights: Nights, sshd: Sshd) => Promise<void>,
) {
  sendTest(name, async (site, nights) => {
    await using sshd = await Sshd.start();
    nights.more = { ...nights.more, ssh: sshd.settings };
    await run(site, nights, sshd);
  });
}

/**
 * How a stream can be made to take so long that something can happen in its middle: what holds it back
 * is our own pump, or a program at one of its ends, which `btrfs send` then feeds itself.
 */
export const slowStreams = {
  "through the pump": () => ({ bandwidthLimit: "3M" }),
  "as it is sent": (site: Site) => hold(site, "send*", '"$real" "$@" | { SLOWLY; }'),
  "as it is received": (site: Site) => hold(site, "*receive\\ -C*", '{ SLOWLY; } | "$real" "$@"'),
} as const;

/** Wait until a stream is in its middle. */
export async function untilMidStream(nights: Nights): Promise<void> {
  await until("a subvolume is being received", async () => {
    // What is being received is renamed meanwhile, of which find complains.
    const { stdout } = await tryRun("find", `${nights.storage}/.plasma/incoming`, "-size", "+500k");
    return stdout !== "";
  });
}

function hold(site: Site, verb: string, how: string): object {
  const held = how.replace("SLOWLY", "head -c 1500000; sleep 1; cat");
  site.fake("btrfs", `case "$*" in ${verb}) ${held} ;; *) exec "$real" "$@" ;; esac`);
  return {};
}

/** Bytes that cannot be compressed. */
export function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + 65536)));
  }
  return bytes;
}
