import { type RunId, runOwner } from "../system/run_id.ts";
import type { Subvolume } from "./filesystem.ts";
import { snapshotFolder } from "./tops.ts";

/** What follows in the name of a snapshot that is kept as the parent of increments. */
export const sentSuffix = ".sent";

/** What follows in the name of a snapshot that is not read-only yet. */
export const unfinishedSuffix = ".new";

/** The name of the snapshot of a subvolume that a run takes. */
export const snapshotName = (run: RunId, { id }: Subvolume, isKept: boolean) =>
  `${run}-${id}${isKept ? sentSuffix : ""}`;

/** A snapshot that a run of plasma has made. */
export interface OwnSnapshot {
  readonly run: RunId;
  readonly name: string;
  /** The id of the subvolume that it was taken of. */
  readonly of: number;
  /** Whether it is kept after the run, as the parent of increments. */
  readonly isKept: boolean;
}

/** Whether a subvolume is a snapshot of plasma, by its place and name, and whose. */
export function ownSnapshot({ path, readOnly }: Subvolume): OwnSnapshot | undefined {
  if (!path.startsWith(`${snapshotFolder}/`)) return undefined;
  const name = path.slice(snapshotFolder.length + 1);
  const [, run, of, suffix] = /^(.*)-(\d+)(\.sent|\.new|\.sent\.new|)$/.exec(name) ?? [];
  if (run === undefined || runOwner(run) === undefined) return undefined;
  // Whoever makes one of ours writable has a reason to.
  if (!readOnly && !suffix!.endsWith(unfinishedSuffix)) return undefined;
  return { run, name, of: Number(of), isKept: suffix === sentSuffix };
}

/** True for what lies in the folder of the snapshots, whoever has made it. */
export const isInSnapshotFolder = ({ path }: Subvolume) => path.startsWith(`${snapshotFolder}/`);
