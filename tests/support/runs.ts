import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import { namesIn, TemporaryFolder } from "./folders.ts";
import { plasma } from "./plasma.ts";
import { untilNoProcessNames } from "./processes.ts";
import { until } from "./sh.ts";
import { uploadedBytes } from "./storage.ts";

/** Write an agent's config for `FOLDER/data` and a storage; return its path. */
export function writeConfig(folder: TemporaryFolder, storage: string, more: object = {}): string {
  return folder.write(
    "agent.json",
    JSON.stringify({
      folders: [folder.at("data")],
      strategy: "tar",
      remoteFolder: storage,
      ...more,
    }),
  );
}

/** Bytes that an upload is long enough with to do something in its middle. */
export const longUpload = 48 << 20;

/** A limit for `longUpload` with which it takes some seconds. */
export const slowly = ["--bandwidth-limit", "8M"] as const;

/** Make `FOLDER/data` so large that something can be done in the middle of its upload. */
export function writeLargeData(folder: TemporaryFolder, bytes = longUpload): string {
  folder.write("data/large", new Uint8Array(bytes).fill(7));
  return folder.at("data");
}

/** Wait until an upload is in its middle: so many bytes have come in. */
export async function untilMidUpload(storage: string, bytes = 4 << 20): Promise<void> {
  await until("the upload is in its middle", () => uploadedBytes(storage) >= bytes);
}

/** What the ids of all runs to a destination have in them. */
export function markOf(destination: string): string {
  return `-${createHash("sha256").update(destination).digest("hex").slice(0, 8)}-`;
}

/** The folders in /run/plasma that belong to runs to a destination. */
export function runFolders(destination: string): string[] {
  return namesIn("/run/plasma").filter((name) => name.includes(markOf(destination)));
}

/** The lock of runs to a destination. */
export function lockOf(destination: string): string {
  return `/run/plasma/${markOf(destination).replaceAll("-", "")}.lock`;
}

/** What plasma lists of a storage folder on this machine. */
export async function listedIn(storage: string): Promise<string[]> {
  const { code, stdout, stderr } = await plasma(["list", "--json", "--from", storage]);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout).archives.map(({ name }: { name: string }) => name);
}

/** Nothing is left of any run to a destination but the locks and what was stored. */
export async function assertNothingLeft(storage: string, destination = storage): Promise<void> {
  assertEquals(namesIn(`${storage}/.plasma/incoming`), []);
  assertEquals(runFolders(destination), []);
  await untilNoProcessNames(storage);
  await untilNoProcessNames(markOf(destination));
}
