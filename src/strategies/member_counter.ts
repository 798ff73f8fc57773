import { escapeName } from "../restore/deep.ts";

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
    const [, type, size, name] = /^(.)\S+ +\S+ +(\S+) \S+ \S+ (?:\.\/)?([^]*)$/.exec(line) ?? [];
    if (name === undefined) return;
    const bytes = type === "-" || type === "C" ? Number(size) : 0;
    for (const count of this.#counts) {
      if (!isOf(name, count.name)) continue;
      count.entries++;
      count.bytes += bytes;
    }
  }

  get contributions(): readonly Contribution[] {
    return this.#counts.map(({ folder, entries, bytes }) => ({ folder, entries, bytes }));
  }
}

/** Whether a member is a folder, or below it. What follows on a link's name stands after " -> ". */
function isOf(member: string, folder: string): boolean {
  if (folder === "") return true;
  if (!member.startsWith(folder)) return false;
  const next = member[folder.length];
  return next === undefined || next === "/" ||
    /^ (?:->|link to) /.test(member.slice(folder.length));
}
