import { freeze } from "../btrfs/freeze.ts";
import { deleteSnapshots, type Snapshot } from "../btrfs/snapshots.ts";
import {
  identityOf,
  mapConcurrently,
  readSubvolumeIds,
  sentSuffix,
  type SubvolumeIds,
} from "../btrfs/subvolumes.ts";
import { type Findings, type FoundSnapshot, type Root, surveyBtrfs } from "../btrfs/survey.ts";
import { requireSnapshots } from "../btrfs/survey.ts";
import { PlasmaError } from "../errors.ts";
import type { Command } from "../system/process.ts";
import { isSameOwner } from "../system/run_id.ts";
import { coverageOf } from "./btrfs_coverage.ts";
import { checkFolders, distinctFolders } from "./folders.ts";
import type {
  Coverage,
  RunMarks,
  SentSnapshot,
  SentSubvolume,
  Strategy,
  StrategyContext,
  SubvolumeSource,
  Survey,
} from "./mod.ts";

/**
 * Sends snapshots of all subvolumes in reach of the folders, whole subvolumes: of each what has changed
 * since the snapshot of the last run, which is kept for that.
 */
export class BtrfsSendStrategy implements Strategy {
  readonly archives = "subvolumes";
  readonly #context: StrategyContext;
  readonly #folders: readonly string[];

  constructor(context: StrategyContext) {
    this.#context = context;
    this.#folders = distinctFolders(context.config.folders);
  }

  prepare(): Promise<void> {
    return requireSnapshots();
  }

  async survey(): Promise<Survey> {
    const notices = await checkFolders(this.#folders);
    const look = () => surveyBtrfs(this.#folders, { skipsLive: true, excluded: [] });
    const findings = await look();
    const coverage = this.#coverage(findings, notices);
    return { coverage, open: (marks) => openSource(findings, marks, look) };
  }

  #coverage({ reaches, roots }: Findings, notices: readonly string[]): Coverage {
    const { exclude, excludeCaches, options } = this.#context.config;
    const folders = reaches.map((reach) => coverageOf(reach, roots, true));
    const missing = folders.filter(({ snapshots }) => snapshots.length === 0);
    if (missing.length > 0) {
      const names = missing.map(({ folder }) => folder).join(", ");
      throw new PlasmaError("snapshot", `not on btrfs: ${names}`, {
        code: "source",
        remedy: "only btrfs can send it; use the strategy btrfs-snapshot",
      });
    }
    const left = folders.flatMap(({ skipped }) => skipped.filter(({ isMissed }) => isMissed));
    if (options.liveMounts === "fail" && left.length > 0) {
      throw new PlasmaError(
        "snapshot",
        `not on btrfs: ${left.map(({ path, reason }) => `${path} (${reason})`).join(", ")}`,
        { remedy: 'unmount it, or set "liveMounts" to "skip"' },
      );
    }
    const ignored = exclude.length > 0 || excludeCaches
      ? ["exclude has no effect: btrfs-send sends whole subvolumes"]
      : [];
    return {
      folders: folders.map((folder) => ({
        ...folder,
        snapshots: folder.snapshots.map(({ path, reason }) => ({
          path,
          reason: `${reason}, sent as a whole`,
        })),
      })),
      notices,
      warnings: [
        ...ignored,
        ...left.map(({ path, reason }) => `${path} is left out: ${reason}`),
      ],
    };
  }
}

/** A snapshot that is to be sent, of a root that it was taken of. */
interface Taken {
  readonly root: Root;
  readonly path: string;
}

async function openSource(
  found: Findings,
  { id }: RunMarks,
  look: () => Promise<Findings>,
): Promise<SubvolumeSource> {
  const { findings, snapshots } = await freeze(found, `${id}${sentSuffix}`, look);
  const kept = findings.oldSnapshots.filter((snapshot) =>
    snapshot.isKept && isSameOwner(snapshot.run, id)
  );
  try {
    // What is read-only already is sent as it is.
    const taken = findings.roots.map((root): Taken => ({
      root,
      path: snapshots.find(({ source }) => source === root.path)?.path ?? root.path,
    }));
    const older = await mapConcurrently(kept, withIdentity);
    const subvolumes = await mapConcurrently(taken, (one) => describe(one, older));
    return new OpenSubvolumes(subvolumes, snapshots, older);
  } catch (error) {
    await deleteSnapshots(snapshots);
    throw error;
  }
}

type KeptSnapshot = FoundSnapshot & SentSnapshot & { readonly madeIn: number };

/**
 * A snapshot that was made writable and changed is no longer what was sent, though its uuid says so:
 * it gets no identity, and is deleted as one that the storage does not know. Right after a snapshot
 * the kernel itself may remove orphans from it, in the next transaction.
 */
async function withIdentity(snapshot: FoundSnapshot): Promise<KeptSnapshot> {
  const { uuid, madeIn, age } = await readSubvolumeIds(snapshot.path);
  return { ...snapshot, madeIn, identity: age <= 1 ? uuid : "" };
}

async function describe(
  { root, path }: Taken,
  kept: readonly KeptSnapshot[],
): Promise<SentSubvolume> {
  const ids = await readSubvolumeIds(path);
  const older = isOwnUuid(ids)
    ? kept.filter(({ device, of }) => device === root.device && of === root.subvolume.path)
    : [];
  // The newest first; the time in a run id would not do, for clocks are set back.
  const parents = older.toSorted((a, b) => b.madeIn - a.madeIn);
  const snapshot = { path, identity: identityOf(ids) };
  return { path: root.path, snapshot, parents, family: snapshot.identity, madeIn: ids.madeIn };
}

/**
 * False for snapshots that have inherited a received uuid, because the subvolume was received once and
 * made writable: all of them go by the same uuid, so none can be told apart as a parent.
 */
const isOwnUuid = ({ receivedUuid }: SubvolumeIds) => receivedUuid === undefined;

class OpenSubvolumes implements SubvolumeSource {
  readonly archives = "subvolumes";
  readonly frozen = true;
  #doomed: readonly { path: string }[];
  #older: readonly { path: string; identity: string }[];

  constructor(
    readonly subvolumes: readonly SentSubvolume[],
    snapshots: readonly Snapshot[],
    older: readonly SentSnapshot[],
  ) {
    // Until the archive is committed the older snapshots are the parents of the next try.
    this.#doomed = snapshots;
    this.#older = older;
  }

  within(command: Command): Command {
    return command;
  }

  async dropUnknown(identities: ReadonlySet<string>): Promise<readonly string[]> {
    const unknown = this.#older.filter(({ identity }) => !identities.has(identity));
    this.#older = this.#older.filter(({ identity }) => identities.has(identity));
    return await deleteSnapshots(unknown);
  }

  keep(): void {
    this.#doomed = this.#older;
  }

  async close(): Promise<readonly string[]> {
    const doomed = this.#doomed;
    this.#doomed = [];
    return await deleteSnapshots(doomed);
  }
}
