/**
 * What `btrfs inspect-internal dump-tree -t root` prints, of which each byte beyond ASCII is one "?".
 * Names may contain line breaks, and what looks like further items: their lengths tell them apart.
 * Pure.
 */
import type { Row } from "./listing.ts";

/** The id of the subvolume at the top of each btrfs filesystem (BTRFS_FS_TREE_OBJECTID). */
export const topId = 5;

/** A subvolume as its filesystem describes it: without a path. */
export interface RootItem extends Omit<Row, "path"> {
  readonly readOnly: boolean;
  /** The id of the subvolume that it lies in; undefined for the top level. */
  readonly parentId: number | undefined;
}

/** How long a reference to a root is without the name (struct btrfs_root_ref). */
const refSize = 18;

/** All subvolumes but those that are being deleted: these lie in no other one any more. */
export function parseRoots(dump: string): RootItem[] {
  const roots = new Map<number, Omit<RootItem, "parentId">>();
  const parents = new Map<number, number>();
  const itemPattern = /^\titem \d+ key \((\S+) (\S+) (\S+)\) itemoff \d+ itemsize (\d+)$/my;
  const namePattern = /\t\troot (?:back)?ref key dirid \d+ sequence \d+ name /y;
  let offset = 0;
  while (offset < dump.length) {
    itemPattern.lastIndex = offset;
    const [line, object, type, other, size] = itemPattern.exec(dump) ?? [];
    let end = endOfLine(dump, offset + (line?.length ?? 0));
    const id = object === "FS_TREE" ? topId : Number(object);
    if (type === "ROOT_REF" || type === "ROOT_BACKREF") {
      if (type === "ROOT_BACKREF") parents.set(id, other === "FS_TREE" ? topId : Number(other));
      namePattern.lastIndex = end;
      const words = namePattern.exec(dump)?.[0] ?? "";
      end = endOfLine(dump, end + words.length + Number(size) - refSize);
    } else if (type === "ROOT_ITEM" && isSubvolume(id)) {
      const next = dump.indexOf("\n\titem ", end);
      roots.set(id, rootIn(id, dump.slice(end, next < 0 ? undefined : next)));
    }
    offset = end;
  }
  return [...roots.values()].flatMap((root) => {
    const parentId = parents.get(root.id);
    return parentId === undefined && root.id !== topId ? [] : [{ ...root, parentId }];
  });
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end + 1;
}

/** Ids of other trees are greater, or no numbers. */
const isSubvolume = (id: number) => id === topId || (id >= 256 && id < 2 ** 48);

function rootIn(id: number, text: string): Omit<RootItem, "parentId"> {
  const field = (pattern: RegExp) => pattern.exec(text)?.[1];
  const uuid = (name: string) => {
    const value = field(new RegExp(`^\\s+${name} ([0-9a-f-]{36})$`, "m"));
    return value === undefined || /^[0-]+$/.test(value) ? undefined : value;
  };
  return {
    id,
    generation: Number(field(/^\s+generation (\d+) /m)),
    madeIn: Number(field(/ otransid (\d+)/)),
    uuid: uuid("uuid"),
    parentUuid: uuid("parent_uuid"),
    receivedUuid: uuid("received_uuid"),
    readOnly: /\bRDONLY\b/.test(field(/ flags (\S+)/) ?? ""),
  };
}
