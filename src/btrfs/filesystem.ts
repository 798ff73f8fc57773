import { PlasmaError } from "../errors.ts";
import { idsIn, listFlags, parseList, parseListWith, type Row } from "./listing.ts";
import { runInTop, type Top } from "./tops.ts";

/** A subvolume of a btrfs filesystem. */
export interface Subvolume extends Row {
  /** Not to be relied on: names in the list of `btrfs` may look like rows of it. */
  readonly readOnly: boolean;
}

/** The id of the subvolume at the top of each btrfs filesystem (BTRFS_FS_TREE_OBJECTID). */
export const topId = 5;

/** The part of a script that lists the subvolumes; it ends each of the lists with NUL. */
export const listScript = `
list() { btrfs subvolume list "$@" "$top" && printf '\\0'; }
list ${listFlags} --sort=rootid && list ${listFlags} --sort=-rootid && list -r &&
  btrfs subvolume show "$top" && printf '\\0'
`;

/**
 * All subvolumes of a filesystem, its top level included.
 *
 * @param isSynced whether all that was written so far is brought to the disk first
 * @throws {PlasmaError} if the top level cannot be mounted, or the list not be made
 */
export async function listSubvolumes(top: Top, isSynced = false): Promise<Subvolume[]> {
  const script = isSynced ? `btrfs filesystem sync "$top" || exit\n${listScript}` : listScript;
  return await readLists(top, await runInTop(top, script, { needsSnapshots: false }));
}

/** Given what the script has said, return the subvolumes. */
export async function readLists(top: Top, lists: readonly string[]): Promise<Subvolume[]> {
  const [ascending, descending, readOnly, shown] = lists;
  if (shown === undefined) {
    throw new PlasmaError("snapshot", `btrfs does not list the subvolumes of ${top.source}`, {
      code: "source",
    });
  }
  const rows = parseList(ascending!, descending!) ??
    parseListWith(ascending!, await resolvePaths(top, idsIn(ascending!)));
  const frozen = new Set([...readOnly!.matchAll(/^ID (\d+) gen /gm)].map(([, id]) => Number(id)));
  const below = rows.map((row) => ({ ...row, readOnly: frozen.has(row.id) }));
  return [topIn(shown), ...below];
}

/** Ask for the path of each id by itself: slow, but nothing can be forged. */
async function resolvePaths(top: Top, ids: readonly number[]): Promise<Map<number, string>> {
  const script = `
folder=\${top%/top}/paths
mkdir "$folder" && cd "$folder" || exit
xargs -n 1 -P 8 sh -c '
  path=$(btrfs inspect-internal subvolid-resolve "$1" "$top" && echo .) || exit 0
  printf "%s %s\\0" "$1" "$path" >"$1"' sh || exit
find . -type f -exec cat {} +
`;
  const input = ids.map((id) => `${id}\n`).join("");
  const found = await runInTop(top, script, { input, needsSnapshots: false });
  return new Map(found.map((line) => {
    const space = line.indexOf(" ");
    return [Number(line.slice(0, space)), line.slice(space + 1).replace(/\n\.$/, "")];
  }));
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
