import * as v from "valibot";
import { subvolumeInode } from "../btrfs/subvolumes.ts";
import { readRegularFile } from "../system/regular_file.ts";
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

const subvolume = v.object({
  /** The name of the subvolume in the archive. */
  name: v.pipe(v.string(), v.check(isSubvolumeName)),
  /** The path of its root on the machine that it comes from. */
  path: v.pipe(v.string(), v.startsWith("/"), v.maxLength(4096)),
  /** Its uuid there; here it is the received uuid. */
  identity: uuid,
  /** The size and the SHA-256 of the stream by which it came. */
  bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
});

export const subvolumesSchema = v.pipe(v.array(subvolume), v.minLength(1), v.maxLength(10_000));

const schema = v.object({
  version: v.literal(1),
  run: v.pipe(v.string(), v.check((id) => runOwner(id) !== undefined)),
  subvolumes: subvolumesSchema,
});

export type SubvolumeRecord = v.InferOutput<typeof subvolume>;
export type Manifest = v.InferOutput<typeof schema>;

/** The SHA-256 of nothing (FIPS 180-4). */
export const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export function formatManifest(manifest: Manifest): string {
  return JSON.stringify(manifest, null, 2) + "\n";
}

/** That of 10,000 subvolumes with long paths has less. */
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
    const isThere = ({ name }: SubvolumeRecord) =>
      Deno.lstatSync(`${archive}/${name}`).ino === subvolumeInode;
    return output.subvolumes.every(isThere) ? output : undefined;
  } catch {
    return undefined;
  }
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
  return `${beginning}~${index}`;
}
