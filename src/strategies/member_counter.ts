import { escapeName } from "../system/tar_names.ts";

/** What of a configured folder is in an archive. */
export interface Contribution {
  readonly folder: string;
  /** Files, folders, links and so on, the folder itself among them; hard links count each time. */
  readonly entries: number;
  /** The sizes of the files together. */
  readonly bytes: number;
}

interface Count {
  readonly folder: string;
  /** Its escaped name in the archive; "" is all of it. */
  readonly name: string;
  entries: number;
  bytes: number;
}

/**
 * Counts what an archive holds of each folder, out of the list that `tar --verbose --verbose` writes
 * with `--quoting-style=escape`, its default: "-rw-r--r-- 0/0  3 2026-11-28 19:54 etc/hosts". After the
 * mode may stand a sign for an ACL or extended attributes.
 */
export class MemberCounter {
  readonly #counts: readonly Count[];
  readonly #decoder = new TextDecoder("latin1");
  #rest = "";

  /** @param folders absolute paths; they may lie within one another */
  constructor(folders: readonly string[]) {
    this.#counts = folders.map((folder) => ({
      folder,
      name: escapeName(folder.replace(/^\/+/, "")),
      entries: 0,
      bytes: 0,
    }));
  }

  /** Begin anew. */
  reset(): void {
    this.#rest = "";
    for (const count of this.#counts) count.entries = count.bytes = 0;
  }

  /** Take the next piece of the list. */
  add(chunk: Uint8Array): void {
    const text = this.#rest + this.#decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end; (end = text.indexOf("\n", start)) >= 0; start = end + 1) {
      this.#count(text.slice(start, end));
    }
    this.#rest = text.slice(start);
  }

  #count(line: string): void {
    const size = afterFields(line, 0, 2);
    const start = afterFields(line, size, 3);
    if (start >= line.length) return;
    const name = line.startsWith("./", start) ? start + 2 : start;
    const isFile = line[0] === "-" || line[0] === "C";
    const bytes = isFile ? parseInt(line.slice(size, size + longestSize), 10) : 0;
    for (const count of this.#counts) {
      if (!isOf(line, name, count.name)) continue;
      count.entries++;
      count.bytes += bytes;
    }
  }

  get contributions(): readonly Contribution[] {
    return this.#counts.map(({ folder, entries, bytes }) => ({ folder, entries, bytes }));
  }
}

/** No size of a file has more digits. */
const longestSize = 20;

/** Where the next field of a line begins after so many: only those before the name are padded. */
function afterFields(line: string, from: number, count: number): number {
  let at = from;
  for (let field = 0; field < count; field++) {
    const end = line.indexOf(" ", at);
    if (end < 0) return line.length;
    at = end + 1;
    if (field + 1 < count || count === 2) { while (line[at] === " ") at++; }
  }
  return at;
}

/** Whether a member is a folder, or below it. What follows on a link's name stands after " -> ". */
function isOf(line: string, start: number, folder: string): boolean {
  if (folder === "") return true;
  if (!line.startsWith(folder, start)) return false;
  const end = start + folder.length;
  if (end === line.length || line[end] === "/") return true;
  // A file may be called so too.
  return line[0] === "l"
    ? line.startsWith(" -> ", end)
    : line[0] === "h" && line.startsWith(" link to ", end);
}
