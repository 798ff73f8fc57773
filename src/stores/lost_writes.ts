import fs from "node:fs";
import { isNotFound, PlasmaError } from "../errors.ts";
import { openPrivate, writeDurably } from "../system/durable.ts";
import { privatePlace } from "../system/private_place.ts";
import { run } from "../system/process.ts";

/**
 * What a program has written lies in memory first, and when the kernel cannot bring it to the disk it
 * tells only who calls syncfs(2), and only once: the next one hears nothing. `btrfs filesystem sync` is
 * never told; the file then has a hole in which nothing is ever found wrong.
 *
 * So whoever was told notes it in a file in the private place of this user, where all of his programs
 * look, and what was being received at that time is not believed.
 */
const notesPath = () => `${privatePlace()}/lost-writes`;

/** How often writes were lost so far, as far as it is known. */
function countLosses(): number {
  const file = openPrivate(notesPath());
  try {
    return fs.fstatSync(file).size;
  } finally {
    fs.closeSync(file);
  }
}

const countName = "lost-writes";

/** Remember, in the folder of an upload, how often writes were lost before it began. */
export function beginWriting(upload: string): void {
  const path = `${upload}/${countName}`;
  if (readCount(path) === undefined) writeDurably(path, `${countLosses()}\n`);
}

function readCount(path: string): number | undefined {
  try {
    return Number.parseInt(Deno.readTextFileSync(path));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** The lock is that of the file with the notes: who was told of a loss before us has noted it. */
const script = 'sync -f "$1" || { status=$?; echo >>"$2"; exit "$status"; }';

/**
 * Bring all of a filesystem to the disk.
 *
 * @param path a folder in it
 * @param upload the folder of an upload for which {@link beginWriting} was called
 * @throws {PlasmaError} if something could not be written since then, be it of another upload
 */
export async function bringToDisk(path: string, upload: string): Promise<void> {
  const before = readCount(`${upload}/${countName}`);
  const notes = notesPath();
  fs.closeSync(openPrivate(notes));
  const { exit, messages } = await run({
    program: "flock",
    args: ["--exclusive", notes, "sh", "-c", script, "sh", path, notes],
  });
  if (exit.code !== 0) throw lossError(path, messages.tail);
  if (countLosses() !== before) throw lossError(path, "the kernel has told another program why");
}

function lossError(path: string, why: string): PlasmaError {
  const message = `the disk of ${path} has not taken all that was received: ${why}`;
  return new PlasmaError("commit", message, {
    code: "lost-writes",
    remedy: "nothing was stored; see the kernel's log on the storage host, and check the disk",
  });
}
