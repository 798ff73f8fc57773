import { parseArchiveName, timeOf } from "../rotation/archive_name.ts";
import type { History } from "../stores/history.ts";
import type { ListedArchive } from "../stores/mod.ts";

/** An archive of less than this share of what is normal has lost something, or much was deleted. */
export const shrunkBelow = 0.5;

type Sized = Pick<ListedArchive, "name" | "time" | "kind" | "bytes">;

/**
 * The size of the newest archive as a share of what is normal: the size of the last one before that has
 * not shrunk itself, or of one that was accepted. So a size that has collapsed stays noticed until it is
 * back, whatever has been deleted meanwhile.
 *
 * Only archives of the same kind are compared; an empty one with those of any kind.
 *
 * @param archives oldest first
 * @returns null if there is nothing to compare with
 */
export function ratioToNormal(
  archives: readonly Sized[],
  history: History = { stored: [], accepted: new Set() },
): number | null {
  const newest = archives.at(-1);
  // The size of increments tells how much has changed, and not how much there is.
  if (newest === undefined || newest.kind === "btrfs") return null;
  if (history.accepted.has(newest.name)) return 1;
  let normal: number | undefined;
  let accepted: number | undefined;
  for (const { name, kind, bytes } of withDeleted(archives, history)) {
    if (name === newest.name) break;
    if (kind !== newest.kind && (newest.bytes > 0 || kind === "btrfs")) continue;
    // An empty one excuses nothing.
    const isBack = bytes > 0 && bytes >= shrunkBelow * (normal ?? 0);
    if (isBack || history.accepted.has(name)) normal = bytes;
    if (history.accepted.has(name)) accepted = bytes;
  }
  if (normal === undefined || normal === 0) return null;
  const ratio = newest.bytes / normal;
  // Sizes may alternate: what was accepted once is not told of after each larger archive again.
  return ratio < shrunkBelow && accepted ? newest.bytes / accepted : ratio;
}

/** Archives and those that were there before, oldest first. */
function withDeleted(archives: readonly Sized[], { stored }: History): Sized[] {
  const present = new Set(archives.map(({ name }) => name));
  const deleted = stored.flatMap(({ name, bytes }): Sized[] => {
    const parts = present.has(name) ? undefined : parseArchiveName(name);
    if (parts === undefined) return [];
    return [{ name, bytes, kind: parts.kind, time: timeOf(parts.stamp).toString() }];
  });
  return [...deleted, ...archives].sort((a, b) => a.time < b.time ? -1 : a.time > b.time ? 1 : 0);
}
