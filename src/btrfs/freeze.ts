import { PlasmaError } from "../errors.ts";
import type { RunId } from "../system/run_id.ts";
import { withoutParts } from "./reach.ts";
import {
  deleteSnapshots,
  deleteSnapshotsOf,
  type Snapshot,
  type Taken,
  takeSnapshots,
} from "./snapshots.ts";
import { type Findings, foldersIn, keyOf, type ListedFilesystem, type Root } from "./survey.ts";

/** What has been frozen. */
export interface Frost {
  /** Without what could not be frozen. */
  readonly findings: Findings;
  /** By the keys of the subvolumes, see keyOf(). */
  readonly snapshots: ReadonlyMap<string, Snapshot>;
  /** What is left out, and why. */
  readonly problems: readonly string[];
}

export interface FreezeOptions {
  readonly run: RunId;
  /** Whether the snapshots are kept after the run. */
  readonly isKept: boolean;
  /** Look again; the subvolumes of these filesystems are known. */
  look(known: readonly ListedFilesystem[]): Promise<Findings>;
  /** A snapshot that is taken already and has the state of now, or undefined. */
  reuse?(root: Root): Snapshot | undefined;
}

/** How often snapshots are taken anew when subvolumes come or go meanwhile. */
const freezeTries = 3;

/**
 * Take the snapshots. A subvolume that is made meanwhile would be an empty folder in them, without a
 * word: so look again afterwards, and if something is different start anew. What never comes to rest,
 * or cannot be frozen, is left out and named.
 *
 * @throws {PlasmaError} if what holds a folder itself cannot be frozen; no snapshot is left then
 */
export async function freeze(found: Findings, options: FreezeOptions): Promise<Frost> {
  let findings = found;
  try {
    for (let attempt = 1;; attempt++) {
      const { snapshots, reasons, filesystems } = await takeAll(findings, options);
      const now = await options.look(filesystems);
      const restless = differences(findings, now);
      if (restless.size === 0 || attempt === freezeTries) {
        for (const [key, path] of restless) {
          reasons.set(key, { path, reason: "it came, went or moved while snapshots were taken" });
        }
        const frost = await leaveOut(findings, snapshots, reasons, options.run);
        const news = now.problems.filter((problem) => !found.problems.includes(problem));
        return { ...frost, problems: [...frost.problems, ...news] };
      }
      const problems = await deleteSnapshots(
        [...snapshots.values()].filter(({ run }) => run === options.run),
      );
      if (problems.length > 0) throw new PlasmaError("snapshot", problems.join("; "));
      findings = now;
    }
  } catch (error) {
    // A signal may have ended what took them, before it said what it had done.
    const problems = await Promise.all(
      found.filesystems.map(({ top }) => deleteSnapshotsOf(options.run, top)),
    );
    if (problems.flat().length === 0 || !(error instanceof PlasmaError)) throw error;
    const { stage, message, code, remedy } = error;
    throw new PlasmaError(stage, [message, ...problems.flat()].join("; "), {
      code,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
}

interface Fault {
  readonly path: string;
  readonly reason: string;
}

/** Take snapshots of all roots, of all filesystems at once. */
async function takeAll({ roots, filesystems }: Findings, options: FreezeOptions) {
  const snapshots = new Map<string, Snapshot>();
  const reasons = new Map<string, Fault>();
  const listed = await Promise.all(filesystems.map(async (filesystem) => {
    const own = roots.filter(({ device }) => device === filesystem.device);
    const due = own.filter((root) => {
      const snapshot = options.reuse?.(root);
      if (snapshot !== undefined) snapshots.set(keyOf(root), snapshot);
      return snapshot === undefined;
    });
    if (due.length === 0) return filesystem;
    const taken = await takeOf(filesystem, due, options);
    if (taken instanceof PlasmaError) {
      for (const root of due) reasons.set(keyOf(root), { path: root.path, reason: taken.message });
      return filesystem;
    }
    const made = new Map(taken.snapshots.map((snapshot) => [snapshot.of, snapshot]));
    for (const root of due) {
      const snapshot = made.get(root.subvolume.id);
      const reason = taken.failures.get(root.subvolume.id);
      if (snapshot !== undefined) snapshots.set(keyOf(root), snapshot);
      if (reason !== undefined) reasons.set(keyOf(root), { path: root.path, reason });
    }
    return { ...filesystem, ...taken.listing };
  }));
  return { snapshots, reasons, filesystems: listed };
}

/** Take snapshots of roots of one filesystem; an error is that of all of them. */
async function takeOf(
  { top }: ListedFilesystem,
  roots: readonly Root[],
  options: FreezeOptions,
): Promise<Taken | PlasmaError> {
  try {
    return await takeSnapshots(top, roots.map(({ subvolume }) => subvolume), options);
  } catch (error) {
    if (!(error instanceof PlasmaError)) throw error;
    const problems = await deleteSnapshotsOf(options.run, top);
    if (problems.length === 0) return error;
    return new PlasmaError("snapshot", [error.message, ...problems].join("; "));
  }
}

/** The subvolumes that are not in both, or not at the same path; with their paths. */
function differences(before: Findings, after: Findings): Map<string, string> {
  const places = ({ roots }: Findings) =>
    new Map(roots.map((root) => [`${keyOf(root)} ${root.path}`, root]));
  const [old, young] = [places(before), places(after)];
  const found = new Map<string, string>();
  for (const [here, there] of [[old, young], [young, old]] as const) {
    for (const [place, root] of here) {
      if (!there.has(place)) found.set(keyOf(root), root.path);
    }
  }
  return found;
}

/** Take what has faults out of the findings, and its snapshots away. */
async function leaveOut(
  findings: Findings,
  snapshots: Map<string, Snapshot>,
  reasons: ReadonlyMap<string, Fault>,
  run: RunId,
): Promise<Frost> {
  if (reasons.size === 0) return { findings, snapshots, problems: [] };
  for (const root of findings.roots) {
    const fault = reasons.get(keyOf(root));
    const folders = foldersIn(findings, root);
    if (fault === undefined || folders.length === 0) continue;
    throw new PlasmaError(
      "snapshot",
      `cannot snapshot ${fault.path}, in which ${folders.join(", ")} lies: ${fault.reason}`,
      { code: "source" },
    );
  }
  const doomed = [...reasons.keys()].flatMap((key) => snapshots.get(key) ?? [])
    .filter((snapshot) => snapshot.run === run);
  for (const key of reasons.keys()) snapshots.delete(key);
  return {
    findings: {
      ...findings,
      roots: findings.roots.filter((root) => !reasons.has(keyOf(root))),
      reaches: findings.reaches.map((reach) =>
        withoutParts(reach, ({ origin }) => {
          const fault = origin.kind === "live" ? undefined : reasons.get(keyOf(origin));
          return fault && { reason: fault.reason, isMissed: false, isProblem: true };
        })
      ),
    },
    snapshots,
    problems: [
      ...[...reasons.values()].map(({ path, reason }) =>
        `snapshot: ${path} is left out: ${reason}`
      ),
      ...await deleteSnapshots(doomed),
    ],
  };
}
