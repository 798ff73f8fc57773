import type { Subvolume } from "./filesystem.ts";

/**
 * Name the family of each subvolume of a filesystem, by the uuid of the first one: snapshots of one
 * another and of one origin have the same name, also when the origin exists no more. Pure.
 *
 * @returns the names by the ids of the subvolumes
 */
export function familiesOf(subvolumes: readonly Subvolume[]): Map<number, string> {
  const byUuid = new Map(subvolumes.map((subvolume) => [subvolume.uuid, subvolume]));
  const families = new Map<number, string>();
  for (const subvolume of subvolumes) {
    const line = new Set<Subvolume>();
    let eldest = subvolume;
    while (!families.has(eldest.id) && !line.has(eldest)) {
      line.add(eldest);
      const parent = eldest.parentUuid === undefined ? undefined : byUuid.get(eldest.parentUuid);
      if (parent === undefined) break;
      eldest = parent;
    }
    const name = families.get(eldest.id) ?? eldest.parentUuid ?? eldest.uuid ?? `${eldest.id}`;
    for (const { id } of line) families.set(id, name);
  }
  return families;
}
