import type { Reach } from "../btrfs/reach.ts";
import { keyOf, type Root } from "../btrfs/survey.ts";
import type { FolderCoverage, Place } from "./mod.ts";
import { isWithin } from "../system/paths.ts";

/** As FolderCoverage; tells of what is skipped whether it is missed. */
export interface BtrfsCoverage extends FolderCoverage {
  readonly skipped: readonly (Place & { readonly isMissed: boolean })[];
}

/**
 * What of a folder is frozen, and what is not on btrfs: archived live, or left out.
 *
 * @param skipsLive whether a folder that itself is not on btrfs is left out
 */
export function coverageOf(
  { folder, parts, skipped, excluded }: Reach,
  roots: readonly Root[],
  skipsLive: boolean,
): BtrfsCoverage {
  const snapshots = roots.flatMap((root) => {
    const own = parts.filter(({ origin }) =>
      origin.kind === "frozen" && keyOf(origin) === keyOf(root)
    );
    if (own.length === 0) return [];
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
  return {
    folder,
    snapshots,
    live: skipsLive ? [] : live,
    skipped: [
      ...skipped.map(({ path, reason, isMissed }) => ({ path, reason, isMissed })),
      ...excluded.map((path) => ({ path, reason: "excluded", isMissed: false })),
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
