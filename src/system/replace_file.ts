import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { createPrivate, removeIfPresent } from "./durable.ts";

/**
 * Replace a file, or make it, so that everybody can read it. Readers see the old or the new one.
 *
 * Nothing that others put into the folder is followed or written to: the text goes into a new file
 * with a name that nobody can know before, and rename(2) replaces a link and not what it leads to.
 */
export function replacePublicly(path: string, text: string): void {
  replace(path, text, 0o644);
}

/** As {@link replacePublicly}, but only we can read it; it survives a power cut. */
export function replacePrivately(path: string, text: string): void {
  replace(path, text, 0o600);
}

function replace(path: string, text: string, mode: number): void {
  const temporary = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  const file = createPrivate(temporary);
  try {
    const bytes = new TextEncoder().encode(text);
    let offset = 0;
    while (offset < bytes.length) {
      offset += fs.writeSync(file, bytes, offset, bytes.length - offset);
    }
    fs.fchmodSync(file, mode);
    fs.fsyncSync(file);
    fs.renameSync(temporary, path);
  } catch (error) {
    removeIfPresent(temporary);
    throw error;
  } finally {
    fs.closeSync(file);
  }
}
