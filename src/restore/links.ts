import { UsageError } from "../errors.ts";
import { isWithin, parentOf } from "../system/paths.ts";
import { type Command, joinChunks } from "../system/process.ts";
import { escapeBytes, unescapeName } from "../system/tar_names.ts";

/**
 * Symbolic links that lie in a target before the restore. tar would replace one by a folder where the
 * archive has a folder, and a service whose data lay where the link led would find something else.
 *
 * Others can have made any number of links there, as deep as they like: so those that matter are found
 * by the folders of the archive.
 */

const anyScript = `
count=$1
shift
while [ "$count" -gt 0 ]; do
  [ ! -h "./$1" ] || { echo link; exit; }
  shift
  count=$((count - 1))
done
find "$@" \\( -fstype proc -o -fstype sysfs -o -fstype cgroup -o -fstype cgroup2 \\) -prune \\
  -o -type l -printf 'link\\n' -quit 2>/dev/null &
trap 'kill $!' TERM
wait $!
exit 0
`;

/** The command that says something if there are links below, or on the way to, what is to be restored. */
export function findAnyLink(members: readonly string[]): Command {
  const above = new Set(members.flatMap((member) => {
    const folders: string[] = [];
    for (let path = parentOf(`/${member}`); path !== "/"; path = parentOf(path)) {
      folders.push(path.slice(1));
    }
    return folders;
  }));
  const below = members.length === 0 ? ["."] : members.map((member) => `./${member}`);
  const args = ["-c", anyScript, "sh", String(above.size), ...above, ...below];
  return { program: "sh", args };
}

/** Where no link is followed a folder is found only if there is none on the way to it. */
const onTheWayScript = `
confined=$1
shift
set -f
IFS=/
for folder do
  [ -z "$confined" ] || [ ! -d "./$folder" ] || continue
  path=.
  for name in $folder; do
    path=$path/$name
    [ ! -h "$path" ] || { printf '%s\\0' "\${path#./}"; break; }
    [ -e "$path" ] || break
  done
done
`;

/** The command that reads folders and prints the links on the way to them; each path ends with a NUL. */
export function findLinks(isConfined: boolean): Command {
  const shell = ["sh", "-c", onTheWayScript, "sh", isConfined ? "confined" : ""];
  return { program: "sh", args: ["-c", 'exec xargs -0 -r "$@"', "sh", ...shell] };
}

/** How many bytes of paths are asked about at once. */
const batchBytes = 1 << 20;

/** What the kernel takes. tar says itself of longer ones that it cannot reach them. */
const longestPath = 4095;

/** More links in the way are not told apart. */
const mostFound = 1000;

/** Finds the links of a target where an archive has a folder, in bounded memory. */
export class LinksInTheWay {
  readonly #found = new Set<string>();
  readonly #ask: (folders: Uint8Array) => Promise<Uint8Array>;
  #last = "";
  #batch: Uint8Array[] = [];
  #bytes = 0;
  #failure: unknown;

  /** @param ask runs {@link findLinks} */
  constructor(ask: (folders: Uint8Array) => Promise<Uint8Array>) {
    this.#ask = ask;
  }

  /** @param name of a member, escaped; that of a folder ends with a slash */
  add(name: string): Promise<void> | undefined {
    if (this.#failure !== undefined || name.length > 4 * longestPath) return undefined;
    const parts = name.split("/").filter((part) => part !== "" && part !== ".");
    if (!name.endsWith("/")) parts.pop();
    const folder = parts.join("/");
    // An archive has what is in a folder in a row. Names that lead up tar refuses.
    const isKnown = folder === "" || `${this.#last}/`.startsWith(`${folder}/`);
    if (isKnown || parts.includes("..")) return undefined;
    this.#last = folder;
    const path = unescapeName(`${folder}\\000`);
    if (path.length > longestPath) return undefined;
    this.#batch.push(path);
    this.#bytes += path.length;
    return this.#bytes < batchBytes ? undefined : this.flush();
  }

  /** Ask about all that was not asked about yet; what goes wrong {@link require} says. */
  async flush(): Promise<void> {
    const folders = joinChunks(this.#batch);
    this.#batch = [];
    this.#bytes = 0;
    try {
      if (folders.length === 0) return;
      for (const path of pathsIn(await this.#ask(folders))) {
        if (this.#found.size < mostFound) this.#found.add(escapeBytes(path));
      }
    } catch (error) {
      this.#failure ??= error;
    }
  }

  /** @throws {UsageError} if a link is in the way of a folder */
  require(target: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    const found = [...this.#found].sort();
    if (found.length === 0) return;
    const names = found.slice(0, 5).join(", ");
    const count = `${found.length - 5} ${found.length < mostFound ? "" : "or "}more`;
    const more = found.length > 5 ? ` (and ${count})` : "";
    throw new UsageError(
      "restore",
      `in the archive these are folders, but in ${target} symbolic links: ${names}${more}`,
      "nothing was unpacked: remove the links, or restore into a new folder",
    );
  }
}

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
