import { familiesOf } from "../btrfs/family.ts";
import { readLastChanges } from "../btrfs/last_change.ts";
import { byUuidOf, lineOf, statesOf } from "../btrfs/lineage.ts";
import { freeze, type Frost } from "../btrfs/freeze.ts";
import { removeDeadSnapshots } from "../btrfs/leftovers.ts";
import { deleteSnapshots, pathOf, requireSnapshots, type Snapshot } from "../btrfs/snapshots.ts";
import {
  type Findings,
  foldersIn,
  keyOf,
  type ListedFilesystem,
  oldSnapshots,
  type Root,
  surveyBtrfs,
} from "../btrfs/survey.ts";
import { type Top, withTops } from "../btrfs/tops.ts";
import { PlasmaError } from "../errors.ts";
import type { Command } from "../system/process.ts";
import { maximumRecordBytes, maximumSubvolumes, mostRecordBytes } from "../stores/manifest.ts";
import { isSameOwner, type RunId } from "../system/run_id.ts";
import { isWithin } from "../system/paths.ts";
import { coverageOf, problemsOf, rootsByKey, storedElsewhere } from "./btrfs_coverage.ts";
import { PathPatterns } from "./exclusions.ts";
import { explainEmptyFolders } from "./contributions.ts";
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
    const notices = await checkFolders(this.#context.config.folders);
    const { config, ownPaths } = this.#context;
    const excluded = new PathPatterns(config.exclude);
    const options = {
      skipsLive: true,
      isExcluded: (path: string) => excluded.match(path),
      needsWhole: true,
      limits: {
        subvolumes: maximumSubvolumes,
        bytes: maximumRecordBytes,
        pathBytes: 4096,
        bytesFor: mostRecordBytes,
      },
      ownPaths,
      isSynced: true,
    };
    const look = (known: readonly ListedFilesystem[] = []) =>
      surveyBtrfs(this.#folders, options, known);
    const findings = await look();
    const empty = await explainEmptyFolders(config.folders, (path) => excluded.match(path));
    const found = this.#coverage(findings, notices, excluded.used);
    const coverage = { ...found, warnings: [...found.warnings, ...empty] };
    return { coverage, open: (marks) => openSource(findings, marks, look) };
  }

  #coverage(
    findings: Findings,
    notices: readonly string[],
    used: ReadonlySet<string>,
  ): Coverage {
    const { exclude, excludeCaches, options } = this.#context.config;
    const { reaches, roots, ownPlaces } = findings;
    requireWholeSeen(findings);
    const byKey = rootsByKey(roots);
    const sentPlaces = ownPlaces.filter((place) => isSent(place, findings));
    const folders = reaches.map((reach) =>
      coverageOf(reach, byKey, true, ownPlaces.filter((place) => !sentPlaces.includes(place)))
    );
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
    const ignored = [
      ...exclude.filter((pattern) => !used.has(pattern)).map((pattern) => `"${pattern}"`),
      ...(excludeCaches ? ["excludeCaches"] : []),
    ];
    return {
      folders: folders.map((folder) => ({
        ...folder,
        snapshots: folder.snapshots.map(({ path, reason }) => ({
          path,
          reason: `${reason}, sent as a whole`,
        })),
      })),
      notices: [
        ...notices,
        ...storedElsewhere(reaches, byKey),
        ...sentPlaces.map((place) =>
          `${place}, where this backup writes, lies in a subvolume that is sent as a whole: what it ` +
          "holds beside received subvolumes is sent too; make it a subvolume, which is left out"
        ),
      ],
      warnings: [
        ...(ignored.length === 0 ? [] : [
          `exclude has no effect: btrfs-send sends whole subvolumes, and leaves out whole ones by ` +
          `their absolute path: ${ignored.join(", ")}`,
        ]),
        ...left.map(({ path, reason }) => `${path} is left out: ${reason}`),
      ],
      problems: [...problemsOf(folders), ...findings.problems],
    };
  }
}

/** Subvolumes are stored by the paths of their roots: these must be seen. */
function requireWholeSeen({ roots }: Findings): void {
  const part = roots.find(({ isWholeSeen }) => !isWholeSeen);
  if (part === undefined) return;
  const { top, subvolume: { id, path } } = part;
  throw new PlasmaError(
    "snapshot",
    `of the subvolume "${path}" (id ${id}) only a part is mounted, at ${part.path}`,
    { code: "source", remedy: `mount its root too: mount -o subvolid=${id} ${top.source} FOLDER` },
  );
}

/** Whether a place within the folders lies in a subvolume that is sent. */
function isSent(place: string, { reaches }: Findings): boolean {
  return reaches.some(({ folder }) => isWithin(place, folder)) &&
    !reaches.some(({ skipped }) => skipped.some(({ path }) => isWithin(place, path)));
}

async function openSource(
  found: Findings,
  { id }: RunMarks,
  look: (known: readonly ListedFilesystem[]) => Promise<Findings>,
): Promise<SubvolumeSource> {
  const problems = await removeDeadSnapshots(found, id);
  const kept = oldSnapshots(found).filter(({ isKept, run }) => isKept && isSameOwner(run, id));
  const intact = kept.filter(isIntact);
  const reuse = (root: Root) =>
    snapshotsOf(root, intact).find((snapshot) => isUnchangedSince(snapshot, root));
  const frost = await freeze(found, { run: id, isKept: true, look, reuse });
  const subvolumes = await describeAll(frost, intact, id);
  return new OpenSubvolumes(subvolumes, frost, kept, [
    ...problems,
    ...frost.problems,
  ]);
}

/**
 * Whether a snapshot still is what was sent, or gets no identity: one that was made writable and
 * changed is another state under the same uuid, and a received uuid, which the owner of the origin can
 * set, may be that of any other one. Right after a snapshot the kernel itself may remove orphans from
 * it, in the next transaction.
 */
const isIntact = ({ subvolume: { generation, madeIn, receivedUuid } }: Snapshot) =>
  generation - madeIn <= 1 && receivedUuid === undefined;

/**
 * Whether a subvolume still has the state of a snapshot of it: taking one counts as a change, in the
 * same transaction, in which no other can follow. Only after a sync are all changes counted.
 */
const isUnchangedSince = ({ subvolume: { madeIn } }: Snapshot, { subvolume }: Root) =>
  subvolume.generation <= madeIn;

/** The snapshots of a subvolume, the newest first; the clock, which can be set back, says nothing. */
function snapshotsOf({ device, subvolume }: Root, kept: readonly Snapshot[]): Snapshot[] {
  return kept.filter((snapshot) =>
    snapshot.top.device === device && snapshot.of === subvolume.id &&
    snapshot.subvolume.parentUuid === subvolume.uuid
  ).toSorted((a, b) => b.subvolume.madeIn - a.subvolume.madeIn);
}

async function describeAll(
  { findings, snapshots }: Frost,
  kept: readonly Snapshot[],
  run: RunId,
): Promise<SentSubvolume[]> {
  const { roots, filesystems } = findings;
  const described = await Promise.all(filesystems.map(async ({ device, subvolumes }) => {
    const families = familiesOf(subvolumes);
    const byUuid = byUuidOf(subvolumes);
    const own = roots.filter((root) => root.device === device)
      .map((root) => ({ root, family: families.get(root.subvolume.id)! }));
    const unsure = [...Map.groupBy(own, ({ family }) => family).values()].filter((members) =>
      members.length > 1 && members.some(({ root }) => snapshotsOf(root, kept).length === 0)
    ).flat().map(({ root }) => snapshots.get(keyOf(root))!);
    const changes = await readLastChanges(unsure.filter((snapshot) => snapshot.run === run));
    return own.map(({ root, family }): SentSubvolume => {
      const { subvolume, path } = root;
      // A snapshot of ours goes by its own uuid, see takeSnapshots().
      const sent = (snapshot: Snapshot): SentSnapshot => ({
        path: pathOf(snapshot),
        identity: identityOf(snapshot),
        states: statesOf(
          subvolume,
          snapshot.subvolume.madeIn,
          changes.get(snapshot.name),
          byUuid,
        ),
      });
      const snapshot = snapshots.get(keyOf(root))!;
      return {
        path,
        snapshot: sent(snapshot),
        parents: snapshotsOf(root, kept).map(sent),
        family,
        madeIn: changes.get(snapshot.name) ??
          (subvolume.readOnly ? subvolume.madeIn : subvolume.generation),
        line: lineOf(subvolume, byUuid),
        isNeeded: foldersIn(findings, root).length > 0,
      };
    });
  }));
  return described.flat();
}

const identityOf = ({ subvolume: { uuid, receivedUuid } }: Snapshot) => receivedUuid ?? uuid ?? "";

class OpenSubvolumes implements SubvolumeSource {
  readonly archives = "subvolumes";
  readonly frozen = true;
  readonly #tops: readonly Top[];
  readonly #used: ReadonlySet<Snapshot>;
  readonly #problems: string[];
  #doomed: readonly Snapshot[];
  #older: readonly Snapshot[];

  constructor(
    readonly subvolumes: readonly SentSubvolume[],
    { findings, snapshots }: Frost,
    older: readonly Snapshot[],
    problems: readonly string[],
  ) {
    this.#tops = findings.filesystems.map(({ top }) => top);
    this.#used = new Set(snapshots.values());
    this.#problems = [...problems];
    this.#older = older;
    // Until the archive is committed the older snapshots are the parents of the next try.
    this.#doomed = [...this.#used].filter((snapshot) => !older.includes(snapshot));
  }

  within(command: Command): Command {
    return withTops(this.#tops, command);
  }

  async dropUnknown(identities: ReadonlySet<string>): Promise<readonly string[]> {
    const isKnown = (snapshot: Snapshot) =>
      this.#used.has(snapshot) || (isIntact(snapshot) && identities.has(identityOf(snapshot)));
    const unknown = this.#older.filter((snapshot) => !isKnown(snapshot));
    this.#older = this.#older.filter(isKnown);
    return await deleteSnapshots(unknown);
  }

  keep(): void {
    this.#doomed = this.#older.filter((snapshot) => !this.#used.has(snapshot));
  }

  async close(): Promise<readonly string[]> {
    const doomed = this.#doomed;
    this.#doomed = [];
    return [...this.#problems.splice(0), ...await deleteSnapshots(doomed)];
  }
}
