import { UsageError } from "../errors.ts";
import { isWithin, parentOf } from "../system/paths.ts";
import type { Command } from "../system/process.ts";
import { escapeBytes } from "./deep.ts";

/**
 * Symbolic links that lie in a target before the restore. tar would replace one by a folder where the
 * archive has a folder, and a service whose data lay where the link led would find something else.
 */

const findScript = `
count=$1
shift
while [ "$count" -gt 0 ]; do
  find "./$1" -maxdepth 0 -type l -print0 2>/dev/null
  shift
  count=$((count - 1))
done
find "$@" \\( -fstype proc -o -fstype sysfs -o -fstype cgroup -o -fstype cgroup2 \\) -prune \\
  -o -type l -print0 2>/dev/null
exit 0
`;

/** The command that prints the links below, and on the way to, what is to be restored. */
export function findLinks(members: readonly string[]): Command {
  const above = new Set(members.flatMap((member) => {
    const folders: string[] = [];
    for (let path = parentOf(`/${member}`); path !== "/"; path = parentOf(path)) {
      folders.push(path.slice(1));
    }
    return folders;
  }));
  const below = members.length === 0 ? ["."] : members.map((member) => `./${member}`);
  const args = ["-c", findScript, "sh", String(above.size), ...above, ...below];
  return { program: "sh", args };
}

/** Finds the links of a target where an archive has a folder. */
export class LinksInTheWay {
  readonly #links: Set<string>;
  readonly #found = new Set<string>();

  /** @param output of {@link findLinks} */
  constructor(output: Uint8Array) {
    this.#links = new Set(pathsIn(output).map((path) => normalize(escapeBytes(path)).join("/")));
  }

  /** Whether there are links at all. */
  get isPossible(): boolean {
    return this.#links.size > 0;
  }

  /** @param name of a member, escaped; that of a folder ends with a slash */
  add(name: string): void {
    const parts = normalize(name);
    if (!name.endsWith("/")) parts.pop();
    let path = "";
    for (const part of parts) {
      path = path === "" ? part : `${path}/${part}`;
      if (this.#links.has(path)) this.#found.add(path);
    }
  }

  /** @throws {UsageError} if a link is in the way of a folder */
  require(target: string): void {
    const found = [...this.#found].sort();
    if (found.length === 0) return;
    const names = found.slice(0, 5).join(", ");
    const more = found.length > 5 ? ` (and ${found.length - 5} more)` : "";
    throw new UsageError(
      "restore",
      `in the archive these are folders, but in ${target} symbolic links: ${names}${more}`,
      "nothing was unpacked: remove the links, or restore into a new folder",
    );
  }
}

const normalize = (name: string) => name.split("/").filter((part) => part !== "" && part !== ".");

function pathsIn(output: Uint8Array): Uint8Array[] {
  const paths: Uint8Array[] = [];
  let start = 0;
  for (let end = output.indexOf(0); end >= 0; end = output.indexOf(0, start)) {
    paths.push(output.subarray(start, end));
    start = end + 1;
  }
  return paths;
}

/**
 * Make sure that in a folder no symbolic link leads to a folder elsewhere, through which tar would
 * write where it is not confined.
 *
 * @param target without symbolic links
 * @throws {UsageError} if there is such a link
 */
export function requireLinksWithin(target: string, folder = target): void {
  if (target === "/") return;
  for (const { name, isSymlink, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) requireLinksWithin(target, path);
    else if (isSymlink && leadsOut(path, target)) {
      throw new UsageError(
        "restore",
        `${path} is a symbolic link to a folder outside of ${target}: what is restored could go there`,
        "remove the link, or restore into a new folder",
      );
    }
  }
}

/**
 * True for links to folders elsewhere, also for dangling ones that lead up again from a folder which
 * the archive may bring: "new/../..".
 */
function leadsOut(path: string, target: string): boolean {
  try {
    const real = Deno.realPathSync(path);
    return !isWithin(real, target) && Deno.statSync(real).isDirectory;
  } catch {
    return /(?:^|\/)(?!\.{1,2}\/)[^/]+\/(?:.*\/)?\.\.(?:\/|$)/s.test(Deno.readLinkSync(path));
  }
}
