import type { Command } from "../system/process.ts";
import { escapeName } from "../system/tar_names.ts";

/**
 * Members whose names are longer than a path may be. The kernel takes no path of more than 4095 bytes
 * (PATH_MAX, limits.h), so tar cannot unpack them from above; from within a folder that is deep enough
 * it can. Names are dealt with as `tar --quoting-style=escape` prints them, which is plain ASCII
 * whatever their bytes are.
 */

/** The kernel's limit, without the byte that ends the path. */
const longestPath = 4095;
/** How much of a name one step goes down, so that enough is left for the folder we go into. */
const stepBytes = 3500;
/** More complaints of tar are not kept, and whether all of them are about long names is unknown. */
const mostLongNames = 1000;
/** A longer name no folder can have that was backed up: to keep what is above it takes its square. */
export const longestName = 1 << 20;
/** How much of names is kept, in characters. */
const mostKept = 32 << 20;

/** A folder deep in an archive, from above which the members below it can be reached. */
export interface DeepFolder {
  /** Its name in the archive, escaped, in pieces that are short enough to be gone down one by one. */
  readonly steps: readonly string[];
}

/** Collects, out of the listing of an archive, the folders from which its long names can be reached. */
export class DeepFolders {
  readonly #found = new Map<string, DeepFolder>();
  readonly #longNames: string[] = [];
  readonly #members: readonly string[];
  #isBeyond = false;
  #kept = 0;

  /** @param members what is to be unpacked, as given to tar; none stands for everything */
  constructor(members: readonly string[]) {
    this.#members = members.map(escapeName);
  }

  /** @param name the escaped name of a member; only the beginning, if it is beyond {@link longestName} */
  add(name: string): void {
    // Nothing is done with what was found then.
    if (this.#isBeyond) return;
    // The slash by which folders are listed the kernel does not see.
    const plain = withoutSlash(name);
    if (plain.length <= longestPath || bytesIn(plain) <= longestPath) return;
    const isBeyond = name.length > longestName || this.#longNames.length >= mostLongNames ||
      // Such names no tar gives to what it archives.
      /(?:^|\/)\.{0,2}\//.test(name) || !this.#keep(plain);
    if (isBeyond) this.#giveUp();
  }

  /** Returns false if that is too much, or not wanted. */
  #keep(name: string): boolean {
    this.#longNames.push(name);
    this.#kept += name.length;
    const steps = stepsOf(name);
    for (let count = 1; count < steps.length; count++) {
      const above = steps.slice(0, count);
      const folder = above.join("/");
      if (this.#found.has(folder)) continue;
      this.#kept += folder.length;
      if (this.#kept > mostKept || !this.#isWanted(folder)) return false;
      this.#found.set(folder, { steps: above });
    }
    return this.#kept <= mostKept;
  }

  #giveUp(): void {
    this.#isBeyond = true;
    this.#longNames.length = 0;
    this.#found.clear();
  }

  /** Whether all that is in a folder is to be unpacked. */
  #isWanted(folder: string): boolean {
    const isWithin = (member: string) => `${folder}/`.startsWith(`${member}/`);
    return this.#members.length === 0 || this.#members.some(isWithin);
  }

  /** Those above before those below, which need them. */
  get all(): readonly DeepFolder[] {
    return [...this.#found.values()].toSorted((a, b) => a.steps.length - b.steps.length);
  }

  /** Whether all long names can be reached from them without unpacking what is not wanted. */
  get isComplete(): boolean {
    return this.#found.size > 0 && !this.#isBeyond;
  }

  /**
   * How many names are too long for a pass: tar complains of each of them once. What it complains of
   * beside them is missing for another reason.
   *
   * @param folder the one that is unpacked; none stands for the first pass over everything
   */
  countTooLong(folder?: DeepFolder): number {
    if (folder === undefined) return this.#longNames.length;
    const member = folder.steps.join("/");
    const above = member.lastIndexOf("/") + 1;
    return this.#longNames.filter((name) =>
      name.startsWith(`${member}/`) && bytesIn(name.slice(above)) > longestPath
    ).length;
  }
}

/** The size of an escaped name: an escape stands for a byte. */
const bytesIn = (name: string) => name.replace(/\\(?:\d{3}|.)/g, "x").length;

function withoutSlash(name: string): string {
  let end = name.length;
  while (name[end - 1] === "/") end--;
  return name.slice(0, end);
}

function stepsOf(name: string): string[] {
  const steps: string[] = [];
  let step: string[] = [];
  let size = -1;
  for (const component of name.split("/")) {
    const bytes = bytesIn(component) + 1;
    if (size + bytes > stepBytes && step.length > 0) {
      steps.push(step.join("/"));
      step = [];
      size = -1;
    }
    step.push(component);
    size += bytes;
  }
  return [...steps, step.join("/")];
}

/** A name that is too long for a file. */
const nowhere = "x".repeat(256);

/**
 * What goes down from the target to the folder above a deep one and unpacks that one there.
 *
 * An earlier pass has made symbolic links, which tar would follow where it is not confined: so
 * none is followed on the way down, and what is in the folder is removed, so that tar itself makes
 * all that it enters. A file in it that is a hard link too would lose its other names: then
 * nothing is done. An x keeps the newlines at the end of a name; the shell complains where a folder is
 * too deep to have a path, which does not matter.
 *
 * Names lose what stands for the folders above, and so do the targets of hard links within them. All
 * other targets get a name that no filesystem has: from here they would lead to other files.
 */
const script = `
fail() { printf '%s\\n' "$1" >&2; cat >/dev/null; exit 1; }
plain() { plain=$(printf -- "$1x"); plain=./\${plain%x}; }
count=$1
shift
while :; do
  plain "$1"
  [ -d "$plain" ] && [ ! -h "$plain" ] || fail 'a name leads through what is no folder'
  [ "$count" -gt 0 ] || break
  cd -P -- "$plain" 2>/dev/null || fail 'cannot enter a folder'
  shift
  count=$((count - 1))
done
shift
linked=$(find "$plain" ! -type d -links +1 2>/dev/null | head -c 1)
[ -z "$linked" ] || fail 'hard links are in folders that are too deep for the kernel'
find "$plain" -mindepth 1 -delete || fail 'cannot unpack a folder again'
plain "$1"
member=\${plain#./}
plain "$2"
above=\${plain#./}
shift 2
[ -z "$above" ] ||
  set -- "$@" --transform="flags=r;s,^$above,,;flags=h;s,^,${nowhere}/,;s,^${nowhere}/$above,,"
tar "$@" -- "$member"
status=$?
cat >/dev/null
exit $status
`;

/**
 * The command that unpacks a deep folder with all that is in it. The current folder must be the
 * target, and nothing be in it but what was unpacked.
 *
 * @param flags those of the tar that unpacks everything
 */
export function deepCommand(
  flags: readonly string[],
  { steps }: DeepFolder,
): Command {
  const member = steps.join("/");
  const components = member.split("/");
  const above = components.slice(0, -1).map((name) => `${name}/`).join("");
  const names = [...components, member, asPattern(above)].map(asFormat);
  const args = [String(components.length - 1), ...names, ...flags];
  return { program: "sh", args: ["-c", script, "sh", ...args] };
}

/** An escaped name as a format of printf(1), which knows the same escapes. */
const asFormat = (name: string) => name.replaceAll("%", "%%");

/** An escaped name as a pattern of sed, escaped, that matches nothing else. */
const asPattern = (name: string) => name.replace(/\\\\|[.[\]*^$,]/g, "\\\\$&");
