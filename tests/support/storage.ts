import { assertEquals } from "@std/assert";
import { archivesIn, namesIn } from "./folders.ts";
import { sh, tryRun } from "./sh.ts";

/** What an archive is recognised by: its name, inode and SHA-256. */
export async function fingerprints(storage: string): Promise<string[]> {
  return await Promise.all(
    archivesIn(storage).map(async (name) => {
      const { ino } = Deno.lstatSync(`${storage}/${name}`);
      return `${name} ${ino} ${await sha256Of(`${storage}/${name}`)}`;
    }),
  );
}

/** The SHA-256 of a file, as sha256sum(1) has it. */
export async function sha256Of(path: string): Promise<string> {
  return (await sh("sha256sum", "--", path)).replace(/^\\/, "").slice(0, 64);
}

/** Every archive has a sidecar, and sha256sum(1) finds each to be as its sidecar says. */
export async function assertAllVerify(storage: string): Promise<void> {
  const archives = archivesIn(storage);
  const sidecars = namesIn(storage).filter((name) => name.endsWith(".sha256"));
  assertEquals(sidecars, archives.map((name) => `${name}.sha256`));
  if (archives.length === 0) return;
  await sh("sh", "-c", 'cd "$0" && sha256sum --check --strict --quiet *.sha256', storage);
}

/** How many bytes of an upload have come in; 0 if none is under way. */
export function uploadedBytes(storage: string): number {
  const incoming = `${storage}/.plasma/incoming`;
  const sizes = namesIn(incoming).filter((name) => name.endsWith(".part")).map((name) => {
    try {
      return Deno.lstatSync(`${incoming}/${name}`).size;
    } catch {
      return 0;
    }
  });
  return Math.max(0, ...sizes);
}

/** Unpack an archive as root would, with nothing but tar; all that it can restore is restored. */
export async function unpack(archive: string, target: string, ...args: string[]): Promise<void> {
  Deno.mkdirSync(target, { recursive: true });
  const keep = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "--same-owner"];
  await sh("tar", "--extract", "-p", ...keep, "--file", archive, "--directory", target, ...args);
}

/** The names of an archive's members, quoted as tar(1) does it. */
export async function membersOf(archive: string): Promise<string[]> {
  const text = await sh("tar", "--list", "--quoting-style=escape", "--file", archive);
  return text.split("\n").filter((line) => line !== "");
}

/**
 * As if an hour had passed since they were written: nobody comes back to commit an upload that is
 * complete, as an upload over SSH also is when the agent was killed.
 */
export async function ageUploads(storage: string): Promise<void> {
  const incoming = `${storage}/.plasma/incoming`;
  for (const name of namesIn(incoming).filter((name) => name.endsWith(".part"))) {
    // Whoever writes it, or has just been killed, holds the lock.
    await tryRun("flock", "--timeout=10", `${incoming}/${name}`, "true");
  }
  const time = Date.now() / 1000 - 3600;
  for (const name of namesIn(incoming)) Deno.utimeSync(`${incoming}/${name}`, time, time);
}
