import { PlasmaError } from "../errors.ts";
import type { RunId } from "../system/run_id.ts";
import { deleteSnapshots, type Snapshot, takeSnapshots } from "./snapshots.ts";
import { type Findings, sameRoots } from "./survey.ts";

/** What has been frozen. */
export interface Frost {
  readonly findings: Findings;
  readonly snapshots: readonly Snapshot[];
}

/** How often snapshots are taken anew when subvolumes come or go meanwhile. */
const freezeTries = 5;

/**
 * Take the snapshots. A subvolume that is made meanwhile would be an empty folder in them, without a
 * word: so look again afterwards, and if something is different start anew.
 *
 * @param name the name of each snapshot, which begins with the run id
 * @throws {PlasmaError} if that does not come to an end; no snapshot is left then
 */
export async function freeze(
  found: Findings,
  name: RunId,
  look: () => Promise<Findings>,
): Promise<Frost> {
  let findings = found;
  for (let attempt = 1; attempt <= freezeTries; attempt++) {
    const writable = findings.roots.filter(({ subvolume }) => !subvolume.readOnly);
    let snapshots: Snapshot[] = [];
    let now: Findings;
    try {
      snapshots = await takeSnapshots(writable.map(({ path }) => path), name);
      now = await look();
      if (sameRoots(now, findings)) return { findings, snapshots };
    } catch (error) {
      await deleteSnapshots(snapshots);
      snapshots = [];
      now = await look();
      if (sameRoots(now, findings)) throw error;
    }
    const problems = await deleteSnapshots(snapshots);
    if (problems.length > 0) throw new PlasmaError("snapshot", problems.join("; "));
    findings = now;
  }
  throw new PlasmaError("snapshot", "subvolumes come and go faster than snapshots are taken", {
    code: "source",
    remedy: "exclude the folder that holds them",
  });
}
