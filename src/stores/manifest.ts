import { createHash } from "node:crypto";
import fs from "node:fs";
import * as v from "valibot";
import { PlasmaError } from "../errors.ts";
import { bytesInJson } from "../system/paths.ts";
import { openRegularFile, readFully, readRegularFile } from "../system/regular_file.ts";
import { runOwner } from "../system/run_id.ts";

/**
 * What an archive of the strategy btrfs-send holds: the file `manifest.json` in it. The archive is a
 * folder with a received, read-only subvolume for each subvolume of the source.
 */

export const manifestName = "manifest.json";

const uuid = v.pipe(v.string(), v.regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/));

/** True for a name that a subvolume in an archive can have, see subvolumeName(). */
export function isSubvolumeName(name: string): boolean {
  // deno-lint-ignore no-control-regex
  return name.length <= 255 && !/[/\x00-\x1f\x7f]|^\./.test(name) && name !== "" &&
    name !== manifestName;
}

/** True for an absolute path, of a length that the kernel takes, which has only one way to be written. */
export function isSubvolumePath(path: string): boolean {
  return path.length <= 4096 &&
    (path === "/" || /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/.test(path));
}

const recordEntries = {
  /** The name of the subvolume in the archive. */
  name: v.pipe(v.string(), v.check(isSubvolumeName)),
  /** The path of its root on the machine that it comes from. */
  path: v.pipe(v.string(), v.check(isSubvolumePath)),
  /** Its uuid there; here it is the received uuid. */
  identity: uuid,
};

export const maximumSubvolumes = 10_000;

/**
 * So many bytes the records of all subvolumes of an archive may take, as JSON: a request to a storage
 * may read those of many archives. 10,000 subvolumes of docker take 3 MB.
 */
export const maximumRecordBytes = 8 << 20;

/** What the record of a subvolume takes at most, whatever its name in the archive will be. */
export const mostRecordBytes = (path: string): number => bytesInJson(path) + 500;

/** The subvolumes that a client wants to send, see ReceiveOrder. */
export const ordersSchema = v.pipe(
  v.array(v.object({
    ...recordEntries,
    parent: v.optional(uuid),
    copy: v.optional(v.boolean(), false),
  })),
  v.minLength(1),
  v.maxLength(maximumSubvolumes),
  v.check((orders) =>
    [orders.map(({ name }) => name), orders.map(({ identity }) => identity)]
      .every((values) => new Set(values).size === values.length)
  ),
);

export const recordSchema = v.object(recordEntries);

const subvolume = v.object({
  ...recordEntries,
  /** A restore says what is wrong with it; the archive is one whatever that is. */
  path: v.string(),
  /** Only in version 1: the size of the stream by which it came. */
  bytes: v.optional(v.number()),
});

const schema = v.object({
  version: v.picklist([1, 2]),
  run: v.pipe(v.string(), v.check((id) => runOwner(id) !== undefined)),
  /** The size of all streams, as the agent counted it; in version 1 each subvolume has its own. */
  bytes: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  /** How many subvolumes there are, see readSummary(); the first ones do not say. */
  count: v.optional(v.number()),
  subvolumes: v.pipe(v.array(subvolume), v.minLength(1), v.maxLength(maximumSubvolumes)),
});

export type SubvolumeRecord = v.InferOutput<typeof recordSchema>;
export type Manifest = v.InferOutput<typeof schema>;

export function formatManifest(manifest: Omit<Manifest, "count">): string {
  const { version, run, bytes, subvolumes } = manifest;
  const entries = { version, run, bytes, count: subvolumes.length, subvolumes };
  return JSON.stringify(entries, null, 2) + "\n";
}

/** How a manifest begins that formatManifest() has made. */
const beginning =
  /^\{\n {2}"version": 2,\n {2}"run": "([^"\\]+)",\n {2}"bytes": (\d{1,15}),\n {2}"count": (\d{1,5}),\n/;
const longestBeginning = 400;

/** What is known of an archive without reading about each of its subvolumes. */
export interface Summary {
  readonly run: string;
  /** The size of the streams by which it came. */
  readonly bytes: number;
}

/**
 * The beginning of the manifest of an archive; undefined if the folder is no archive, or has not as many
 * subvolumes as it says. A storage folder can have many archives with manifests of many megabytes: what
 * looks at all of them reads no more of each.
 */
export function readSummary(archive: string): Summary | undefined {
  try {
    const text = readBeginning(`${archive}/${manifestName}`);
    const [, run, bytes, count] = beginning.exec(text) ?? [];
    if (run === undefined || runOwner(run) === undefined) {
      const manifest = readManifest(archive);
      return manifest && { run: manifest.run, bytes: streamBytes(manifest) };
    }
    return foldersIn(archive).size === Number(count) ? { run, bytes: Number(bytes) } : undefined;
  } catch {
    return undefined;
  }
}

function readBeginning(path: string): string {
  const file = openRegularFile(path);
  try {
    const bytes = new Uint8Array(longestBeginning);
    return new TextDecoder().decode(bytes.subarray(0, readFully(file, bytes, 0)));
  } finally {
    fs.closeSync(file);
  }
}

/**
 * Make sure that an archive can hold what has come for it and what is to come. Agents leave out what is
 * more, and have each name and each identity once.
 *
 * @throws {PlasmaError} if it cannot
 */
export function requireRoom(
  earlier: readonly SubvolumeRecord[],
  next: readonly SubvolumeRecord[],
): void {
  const records = [...earlier, ...next];
  const bytes = records.map(({ name, path, identity }) => JSON.stringify({ name, path, identity }))
    .reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
  if (records.length > maximumSubvolumes || bytes > maximumRecordBytes) {
    throw new PlasmaError(
      "storage",
      `an archive holds no more than ${maximumSubvolumes} subvolumes, with ${maximumRecordBytes} bytes ` +
        `of names and paths; these are ${records.length}, with ${bytes}`,
      { code: "max-size" },
    );
  }
  const names = new Set(earlier.map(({ name }) => name));
  const identities = new Set(earlier.map(({ identity }) => identity));
  const again = next.find(({ name, identity }) => names.has(name) || identities.has(identity));
  if (again === undefined) return;
  throw new PlasmaError("storage", `${again.path}: it has come already for this upload`, {
    code: "protocol",
  });
}

/** More than any has that is made today; those of the first versions had no limit of their own. */
const maximumBytes = 64 << 20;

/**
 * The manifest of an archive; undefined if the folder is no archive: without a manifest, or without
 * one of the subvolumes that the manifest names.
 */
export function readManifest(archive: string): Manifest | undefined {
  try {
    const bytes = readRegularFile(`${archive}/${manifestName}`, maximumBytes);
    const value = JSON.parse(new TextDecoder().decode(bytes));
    const { success, output } = v.safeParse(schema, value);
    if (!success) return undefined;
    // Whether each is what was received, verify says.
    const folders = foldersIn(archive);
    return output.subvolumes.every(({ name }) => folders.has(name)) ? output : undefined;
  } catch {
    return undefined;
  }
}

/** In one look: there may be thousands. */
function foldersIn(archive: string): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const { name, isDirectory } of Deno.readDirSync(archive)) {
    if (isDirectory) folders.add(name);
  }
  return folders;
}

/** The size of the streams by which an archive came, in bytes. */
export function streamBytes({ bytes, subvolumes }: Manifest): number {
  return bytes ?? subvolumes.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
}

/**
 * What an archive of subvolumes is known by: the SHA-256 of what it holds. The streams need no
 * checksum: each of their commands has a CRC-32C, the last one says that it is the last, and the
 * way is authenticated by ssh.
 */
export function digestOf(records: readonly SubvolumeRecord[]): string {
  const lines = records.map(({ name, path, identity }) => JSON.stringify([name, path, identity]));
  return createHash("sha256").update(lines.sort().join("\n")).digest("hex");
}

/** How many bytes of a path fit into a name together with what makes it unique. */
const longestName = 180;

/**
 * The name that a subvolume has in an archive: its path with "%2F" for the slashes (RFC 3986), without
 * the first one: "/srv/data" is "srv%2Fdata", and "/" is "%2F". Of a very long path only the beginning,
 * and a number that makes it unique; the manifest has the whole of it.
 */
export function subvolumeName(path: string, index: number): string {
  const escape = (character: string) =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  // deno-lint-ignore no-control-regex
  const name = (path === "/" ? path : path.slice(1)).replaceAll(/[%/\x00-\x1f\x7f]|^\./g, escape);
  const bytes = new TextEncoder().encode(name);
  if (bytes.length <= longestName && isSubvolumeName(name)) return name;
  const beginning = new TextDecoder().decode(bytes.subarray(0, longestName)).replaceAll(
    "\ufffd",
    "",
  );
  // An escaped path has no "%~": no other one can have this name.
  return `${beginning}%~${index}`;
}
