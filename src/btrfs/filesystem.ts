import { PlasmaError } from "../errors.ts";
import { listFlags, parseList, type Row } from "./listing.ts";
import { parseRoots, topId } from "./root_tree.ts";
import { runInTop, type Top } from "./tops.ts";

/** A subvolume of a btrfs filesystem. */
export interface Subvolume extends Row {
  /** Not to be relied on: names in the list of `btrfs` may look like rows of it. */
  readonly readOnly: boolean;
}

/** A subvolume at no path that can be told; what lies in it is not listed either. */
export interface Hidden {
  readonly id: number;
  readonly reason: string;
  /** The id of the subvolume that it lies in, whose path is known. */
  readonly within: number;
}

/** The subvolumes of a filesystem, its top level included. */
export interface Listing {
  readonly subvolumes: readonly Subvolume[];
  readonly hidden: readonly Hidden[];
}

/** Lists the subvolumes, for {@link readLists}; ends each of the lists with NUL. */
export const listScript = `
list() { btrfs subvolume list "$@" "$top" && printf '\\0'; }
list ${listFlags} --sort=rootid && list ${listFlags} --sort=-rootid && list -r &&
  btrfs subvolume show "$top" && printf '\\0'
`;

/**
 * All subvolumes of a filesystem.
 *
 * @param isSynced whether all that was written so far is brought to the disk first
 * @throws {PlasmaError} if the top level cannot be mounted, or the list not be made
 */
export async function listSubvolumes(top: Top, isSynced = false): Promise<Listing> {
  const script = isSynced ? `btrfs filesystem sync "$top" || exit\n${listScript}` : listScript;
  let why = "names of subvolumes look like rows of a list";
  try {
    const subvolumes = readLists(top, await runInTop(top, script, { needsSnapshots: false }));
    if (subvolumes !== undefined) return { subvolumes, hidden: [] };
  } catch (error) {
    // It lists nothing if one path within a subvolume is too long for the kernel to tell.
    if (!(error instanceof PlasmaError) || !/ for root \d+/.test(error.message)) throw error;
    why = error.message;
  }
  try {
    return await readRoots(top);
  } catch (error) {
    if (!(error instanceof PlasmaError)) throw error;
    const id = / for root (\d+)/.exec(why)?.[1];
    throw new PlasmaError("snapshot", `${why}; ${error.message}`, {
      code: "source",
      ...(id === undefined ? {} : {
        remedy:
          `one that lies in subvolume ${id} has too long a path: with that mounted at FOLDER ` +
          "look for it by: find FOLDER -xdev -inum 256; move it up, or delete it",
      }),
    });
  }
}

/** How a subvolume is found that btrfs(8) neither mounts nor deletes, as its path is too long. */
export const findById = (id: number, folder: string) =>
  `look for it by: find ${quote(folder)} -xdev -inum 256 -execdir sh -c ` +
  `'[ "$(btrfs inspect-internal rootid "$0")" = ${id} ]' {} \\; -print; ` +
  "with -execdir rm -r {} \\; at its end it is deleted";

/** A word as sh(1) takes it. */
export const quote = (text: string) =>
  /^[\w/.:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/**
 * The subvolumes in the lists; undefined if there may be forged ones.
 *
 * @throws {PlasmaError} if there are fewer lists
 */
export function readLists(top: Top, lists: readonly string[]): Subvolume[] | undefined {
  const [ascending, descending, readOnly, shown] = lists;
  if (shown === undefined) {
    throw new PlasmaError("snapshot", `btrfs does not list the subvolumes of ${top.source}`, {
      code: "source",
    });
  }
  const rows = parseList(ascending!, descending!);
  const frozen = new Set([...readOnly!.matchAll(/^ID (\d+) gen /gm)].map(([, id]) => Number(id)));
  return rows && [topIn(shown), ...rows.map((row) => ({ ...row, readOnly: frozen.has(row.id) }))];
}

/**
 * Prints the tree of roots, as it is on the disk. The kernel writes past the cache through which
 * `btrfs` reads, and may write over what is being read: it says so then, but does not fail.
 */
const dumpScript = `
folder=\${top%/top}
btrfs filesystem sync "$top" || exit
set -- $(btrfs filesystem show "$top" | sed -n 's/.* path //p')
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  for device; do blockdev --flushbufs "$device" 2>/dev/null; done
  btrfs inspect-internal dump-tree -t root "$1" >"$folder/roots" 2>"$folder/words" &&
    ! [ -s "$folder/words" ] && LC_ALL=C tr '\\200-\\377\\0' '[?*]' <"$folder/roots" &&
    printf '\\0' && exit
done
cat "$folder/words" >&2
exit 1
`;

/** Each subvolume by itself: slow, but no name can forge one, and none can hide the others. */
async function readRoots(top: Top): Promise<Listing> {
  const [dump] = await runInTop(top, dumpScript, { needsSnapshots: false });
  const roots = parseRoots(dump!);
  const { paths, failures } = await resolvePaths(top, roots.map(({ id }) => id));
  const subvolumes: Subvolume[] = [];
  const hidden: Hidden[] = [];
  for (const { parentId = topId, ...root } of roots) {
    const path = paths.get(root.id);
    const reason = failures.get(root.id);
    if (path !== undefined) subvolumes.push({ ...root, path });
    else if (reason !== undefined && paths.has(parentId)) {
      hidden.push({ id: root.id, reason, within: parentId });
    }
  }
  return { subvolumes, hidden };
}

/** Ask for the path of each id by itself; there is none for what is gone meanwhile. */
async function resolvePaths(top: Top, ids: readonly number[]) {
  const script = `
folder=\${top%/top}/paths
mkdir "$folder" && cd "$folder" || exit
xargs -n 1 -P 8 sh -c '
  if path=$(btrfs inspect-internal subvolid-resolve "$1" "$top" 2>"$1" && echo .); then
    printf "%s +%s\\0" "$1" "$path" >"$1"
  elif grep -q "failed to lookup subvol_id" "$1"; then : >"$1"
  else
    words=$(sed "s/.*: //; q" "$1")
    printf "%s -%s\\0" "$1" "$words" >"$1"
  fi' sh || exit
find . -type f -exec cat {} +
`;
  const input = ids.filter((id) => id !== topId).map((id) => `${id}\n`).join("");
  const found = await runInTop(top, script, { input, needsSnapshots: false });
  const paths = new Map([[topId, ""]]);
  const failures = new Map<number, string>();
  for (const line of found) {
    const space = line.indexOf(" ");
    const id = Number(line.slice(0, space));
    const words = line.slice(space + 2);
    if (line[space + 1] === "+") paths.set(id, words.replace(/\n\.$/, ""));
    else failures.set(id, words || "it failed");
  }
  return { paths, failures };
}

/** The top level itself, which is in no list, as `btrfs subvolume show` has it. */
function topIn(text: string): Subvolume {
  // Names of its snapshots come last.
  const field = (name: string) => {
    const value = new RegExp(`^\\s+${name}:\\s*(\\S*)$`, "m").exec(text)?.[1];
    return value === undefined || value === "-" || value === "" ? undefined : value;
  };
  return {
    id: topId,
    path: "",
    generation: Number(field("Generation")),
    madeIn: Number(field("Gen at creation")),
    uuid: field("UUID"),
    parentUuid: field("Parent UUID"),
    receivedUuid: field("Received UUID"),
    readOnly: /^\s+Flags:.*\breadonly\b/m.test(text),
  };
}

/** Whether a path can be handed on to other programs: it is UTF-8. */
export const isUtf8 = ({ path }: Subvolume) => !path.includes("\ufffd");
