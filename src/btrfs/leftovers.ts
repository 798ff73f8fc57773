import { type RunId, runOwner } from "../system/run_id.ts";
import { isAlive } from "../system/runtime_folder.ts";
import { deleteSnapshots } from "./snapshots.ts";
import { type Findings, oldSnapshots } from "./survey.ts";

/**
 * Remove the snapshots of runs that were killed; those that are kept as parents stay.
 *
 * @param own the id of this run
 * @returns what could not be removed, each with the remedy
 */
export async function removeDeadSnapshots(findings: Findings, own: RunId): Promise<string[]> {
  const alive = new Map<RunId, boolean>();
  const dead = [];
  for (const snapshot of oldSnapshots(findings)) {
    const { run, isKept } = snapshot;
    if (isKept) continue;
    if (!alive.has(run)) alive.set(run, await isAlive(run, runOwner(own)!));
    if (!alive.get(run)) dead.push(snapshot);
  }
  return await deleteSnapshots(dead);
}
