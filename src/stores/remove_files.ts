import { PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";
import type { StorageFolder } from "./folder.ts";

/** What became of files that were to be removed. */
export interface Removal {
  /** Those that were there and are gone. */
  readonly removed: ReadonlySet<string>;
  /** Those that are still there, and why. */
  readonly failed: ReadonlyMap<string, string>;
}

/** So many names are handed to one process: far below the limit of a command line. */
const batchSize = 1000;

/**
 * Remove files from a storage folder. Where the path of the folder leads may change meanwhile, if
 * somebody else owns a folder above it; so this is done from within the very folder that was opened,
 * by names alone. Deno cannot do that: it makes an absolute path of every name.
 *
 * @param names of files in it, not beginning with a dash
 */
export async function removeFiles(
  folder: StorageFolder,
  names: readonly string[],
): Promise<Removal> {
  const removed = new Set<string>();
  const failed = new Map<string, string>();
  for (let first = 0; first < names.length; first += batchSize) {
    const batch = names.slice(first, first + batchSize);
    const { left, missing, reasons } = await removeBatch(folder, batch);
    for (const name of batch) {
      if (left.has(name)) failed.set(name, reasons.get(name) ?? "it is still there");
      else if (!missing.has(name)) removed.add(name);
    }
  }
  return { removed, failed };
}

/** $1 is the device and inode of the folder, as stat(1) prints them; then come the names. */
const script = `[ "$(stat -c %d:%i .)" = "$1" ] || exit 9
shift
for name; do [ -e "$name" ] || printf 'missing %s\\n' "$name"; done
rm -f -- "$@"
for name; do [ ! -e "$name" ] || printf 'left %s\\n' "$name"; done`;

async function removeBatch(folder: StorageFolder, names: readonly string[]) {
  const { dev, ino } = folder.identity;
  const { exit, stdout, messages } = await run(
    { program: "sh", args: ["-c", script, "sh", `${dev}:${ino}`, ...names] },
    { currentFolder: folder.path },
  );
  if (exit.code !== 0) {
    const why = exit.code === 9 ? "it has been moved or replaced meanwhile" : messages.tail;
    throw new PlasmaError("storage", `cannot delete in ${folder.path}: ${why}`);
  }
  const lines = new TextDecoder().decode(stdout).split("\n");
  const marked = (mark: string) =>
    new Set(lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length)));
  return { left: marked("left "), missing: marked("missing "), reasons: reasonsIn(messages.lines) };
}

/** "rm: cannot remove 'NAME': Operation not permitted" */
function reasonsIn(lines: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of lines) {
    const [, name, reason] = /^rm: [^']*'(.*)': (.+)$/.exec(line) ?? [];
    if (name !== undefined && reason !== undefined) found.set(name, reason.toLowerCase());
  }
  return found;
}
