import { readRegularFile } from "../system/regular_file.ts";

/** A checksum file as `sha256sum` writes and checks it, see sha256sum(1). */
export interface Sidecar {
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
  /** The name of the file that it belongs to. */
  readonly name: string;
}

export function formatSidecar({ sha256, name }: Sidecar): string {
  return `${sha256}  ${name}\n`;
}

/** A checksum and the longest name have less. */
const maximumBytes = 4096;

/** What a checksum file says; undefined if there is none, or it says nothing that makes sense. */
export function readSidecar(path: string): Sidecar | undefined {
  let text;
  try {
    text = new TextDecoder().decode(readRegularFile(path, maximumBytes));
  } catch {
    return undefined;
  }
  const [, sha256, name] = /^([0-9a-f]{64}) [ *]([^/\n]+)\n?$/.exec(text) ?? [];
  return sha256 === undefined || name === undefined ? undefined : { sha256, name };
}
