import type { LeftOut, Reach } from "../btrfs/reach.ts";
import { keyOf, type Root } from "../btrfs/survey.ts";
import { describeProblem } from "./folders.ts";
import type { FolderCoverage } from "./mod.ts";
import { ownReason } from "../system/mounts.ts";
import { isWithin, joinPath, relativePath } from "../system/paths.ts";

/** As FolderCoverage; tells of what is skipped whether it is missed. */
export interface BtrfsCoverage extends FolderCoverage {
  readonly skipped: readonly LeftOut[];
}

/**
 * What of a folder is frozen, and what is not on btrfs: archived live, or left out.
 *
 * @param skipsLive whether a folder that itself is not on btrfs is left out
 * @param ownPlaces what the run writes itself
 */
export function coverageOf(
  { folder, parts, skipped }: Reach,
  roots: ReadonlyMap<string, Root>,
  skipsLive: boolean,
  ownPlaces: readonly string[],
): BtrfsCoverage {
  const keys = new Set(
    parts.flatMap(({ origin }) => origin.kind === "frozen" ? [keyOf(origin)] : []),
  );
  const snapshots = [...keys].flatMap((key) => {
    const root = roots.get(key);
    if (root === undefined) return [];
    const { id, path, readOnly } = root.subvolume;
    return [{
      path: root.path,
      reason: `subvolume ${id} (/${path})${readOnly ? ", read-only already" : ""}`,
    }];
  });
  const live = parts.flatMap(({ target, origin }) =>
    origin.kind === "live"
      ? [{ path: isWithin(target, folder) ? target : folder, reason: `on ${origin.type}` }]
      : []
  );
  const isNamed = (place: string) => skipped.some(({ path }) => path === place);
  return {
    folder,
    snapshots,
    live: skipsLive ? [] : live,
    skipped: [
      ...skipped.map(({ path, reason, isMissed, isProblem = false }) => ({
        path,
        reason,
        isMissed,
        isProblem,
      })),
      ...ownPlaces.filter((place) => isWithin(place, folder) && !isNamed(place))
        .map((path) => ({ path, ...ownReason })),
      ...(skipsLive
        ? live.map(({ path, reason }) => ({
          path,
          reason: `${reason}, not on btrfs`,
          isMissed: true,
        }))
        : []),
    ],
  };
}

/** The roots by what identifies their subvolumes. */
export const rootsByKey = (roots: readonly Root[]): Map<string, Root> =>
  new Map(roots.map((root) => [keyOf(root), root]));

/** What is left out because something is wrong with it, for people. */
export const problemsOf = (folders: readonly BtrfsCoverage[]): string[] =>
  folders.flatMap(({ skipped }) => skipped.filter(({ isProblem }) => isProblem))
    .map(describeProblem);

/** Which places are stored by other paths only, since these show the same subvolumes; for people. */
export function storedElsewhere(
  reaches: readonly Reach[],
  roots: ReadonlyMap<string, Root>,
): string[] {
  return reaches.flatMap(({ folder, parts }) => {
    const found: { readonly place: string; readonly stored: string }[] = [];
    for (const { target, origin } of parts) {
      const root = origin.kind === "live" ? undefined : roots.get(keyOf(origin));
      if (origin.kind === "live" || root === undefined) continue;
      const place = isWithin(target, folder) ? target : folder;
      const stored = joinPath(joinPath(root.path, origin.inside), relativePath(place, target));
      // What lies in such a place goes without saying.
      if (stored === place || found.some((above) => isWithin(place, above.place))) continue;
      found.push({ place, stored });
    }
    return found.map(({ place, stored }) =>
      `${place} shows the same as ${stored}, and is stored under that path only`
    );
  });
}
