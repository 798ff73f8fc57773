import type { Reach } from "../btrfs/reach.ts";
import { keyOf, type Root } from "../btrfs/survey.ts";
import { isNetwork, isWithin } from "../system/mounts.ts";
import type { FolderCoverage, Place } from "./mod.ts";

/** As FolderCoverage; tells what was left out only because it is not on btrfs. */
export interface BtrfsCoverage extends FolderCoverage {
  readonly skipped: readonly (Place & { readonly isLive?: boolean })[];
}

/** What of a folder is frozen, and what is not on btrfs: archived live, or left out. */
export function coverageOf(
  { folder, parts, skipped }: Reach,
  roots: readonly Root[],
  option: "include" | "skip" | "fail",
): BtrfsCoverage {
  const used = new Set(
    parts.flatMap(({ origin }) => origin.kind === "frozen" ? [keyOf(origin)] : []),
  );
  const live = parts.flatMap(({ target, origin }) =>
    origin.kind === "live"
      ? [{ path: isWithin(target, folder) ? target : folder, reason: `on ${origin.type}` }]
      : []
  );
  return {
    folder,
    snapshots: roots.filter((root) => used.has(keyOf(root))).map(({ path, subvolume }) => ({
      path,
      reason: `subvolume ${subvolume.id} (/${subvolume.path})` +
        (subvolume.readOnly ? ", read-only already" : ""),
    })),
    live: option === "skip" ? [] : live,
    skipped: [
      ...skipped.map((mount) => ({
        path: mount.path,
        reason: isNetwork(mount)
          ? `on a network filesystem (${mount.type})`
          : `no files of its own (${mount.type})`,
      })),
      ...(option === "skip" ? live.map((place) => ({ ...place, isLive: true })) : []),
    ],
  };
}
