import { joinPath, type Reach } from "../btrfs/reach.ts";
import { deleteSnapshots, type Snapshot, takeSnapshots } from "../btrfs/snapshots.ts";
import { snapshotFolder } from "../btrfs/subvolumes.ts";
import {
  type Findings,
  keyOf,
  requireNamespace,
  requireSnapshots,
  type Root,
  surveyBtrfs,
} from "../btrfs/survey.ts";
import { type Binding, viewFailed, withView } from "../btrfs/view.ts";
import { PlasmaError } from "../errors.ts";
import { isWithin } from "../system/mounts.ts";
import { isAlive } from "../system/runtime_folder.ts";
import { runOwner } from "../system/run_id.ts";
import { coverageOf } from "./btrfs_coverage.ts";
import { checkFolders, distinctFolders } from "./folders.ts";
import type { Coverage, RunMarks, Strategy, StrategyContext, StreamSource, Survey } from "./mod.ts";
import { judgeTar, requireGnuTar, tarCommand } from "./tar_command.ts";

/**
 * Archives the folders from read-only snapshots of all subvolumes in reach: the state of one instant,
 * under the original paths. What is not on btrfs is archived as it is, and named.
 */
export class BtrfsSnapshotStrategy implements Strategy {
  readonly archives = "stream";
  readonly #context: StrategyContext;
  readonly #folders: readonly string[];

  constructor(context: StrategyContext) {
    this.#context = context;
    this.#folders = distinctFolders(context.config.folders);
  }

  get #skipsLive(): boolean {
    return this.#context.config.options.liveMounts === "skip";
  }

  async prepare(): Promise<void> {
    await requireGnuTar();
    await requireSnapshots();
    await requireNamespace();
  }

  async survey(): Promise<Survey> {
    const notices = await checkFolders(this.#folders);
    const findings = await surveyBtrfs(this.#folders, this.#skipsLive);
    const coverage = this.#coverage(findings, notices);
    return { coverage, open: (marks) => this.#open(findings, coverage, marks) };
  }

  #coverage({ reaches, roots }: Findings, notices: readonly string[]): Coverage {
    const option = this.#context.config.options.liveMounts;
    const folders = reaches.map((reach) => coverageOf(reach, roots, this.#skipsLive));
    const live = folders.flatMap(({ live }) => live);
    if (option === "fail" && live.length > 0) {
      throw new PlasmaError(
        "snapshot",
        `not on btrfs: ${live.map(({ path, reason }) => `${path} (${reason})`).join(", ")}`,
        { remedy: 'unmount or exclude it, or set "liveMounts" to "include" or "skip"' },
      );
    }
    const warnings = option === "include"
      ? live.map(({ path, reason }) => `${path} is not frozen but archived live: ${reason}`)
      : folders.flatMap(({ skipped }) => skipped.filter(({ isMissed }) => isMissed))
        .map(({ path, reason }) => `${path} is left out: ${reason} (liveMounts is "skip")`);
    return { folders, notices, warnings };
  }

  async #open(
    findings: Findings,
    coverage: Coverage,
    { id, folder }: RunMarks,
  ): Promise<StreamSource> {
    const { config, ownPaths } = this.#context;
    const view = `${folder}/view`;
    Deno.mkdirSync(view, { mode: 0o700 });
    const problems = await removeDeadSnapshots(findings, id);
    const frozen = findings.roots.filter(({ subvolume }) => !subvolume.readOnly);
    const snapshots = await takeSnapshots(frozen.map(({ path }) => path), id);
    const folders = this.#skipsLive
      ? coverage.folders.filter(({ snapshots }) => snapshots.length > 0).map(({ folder }) => folder)
      : this.#folders;
    const command = tarCommand({
      root: view,
      folders,
      exclude: config.exclude,
      excludeCaches: config.excludeCaches,
      omit: [...ownPaths, ...ownFolders(findings.reaches)],
      empty: [],
    });
    const live = coverage.folders.flatMap(({ live }) => live.map(({ path }) => path));
    let open = true;
    return {
      archives: "stream",
      kind: "tar",
      frozen: true,
      command: withView(view, bindings(findings, snapshots, !this.#skipsLive), command),
      judge(exit, messages) {
        if (exit.code === viewFailed) {
          throw new PlasmaError("snapshot", messages.join(" / "), { code: "source" });
        }
        return judgeTar(exit, messages, (path) => live.some((place) => isWithin(path, place)));
      },
      async close() {
        if (!open) return [];
        open = false;
        return [...problems, ...await deleteSnapshots(snapshots)];
      },
    };
  }
}

/** What tar is to see, upper places before those below them. */
function bindings(
  { reaches, roots }: Findings,
  snapshots: readonly Snapshot[],
  withLive: boolean,
): Binding[] {
  const taken = new Map(snapshots.map(({ source, path }) => [source, path]));
  const found = new Map<string, Binding>();
  for (const { target, origin } of reaches.flatMap(({ parts }) => parts)) {
    if (found.has(target) || (origin.kind === "live" && !withLive)) continue;
    found.set(target, { target, source: sourceOf(origin, roots, taken) });
  }
  const depth = ({ target }: Binding) => target === "/" ? 0 : target.split("/").length;
  return [...found.values()].sort((a, b) => depth(a) - depth(b));
}

function sourceOf(
  origin: Reach["parts"][number]["origin"],
  roots: readonly Root[],
  taken: ReadonlyMap<string, string>,
): string {
  if (origin.kind === "live") return origin.path;
  const { path } = roots.find((root) => keyOf(root) === keyOf(origin))!;
  return joinPath(taken.get(path) ?? path, origin.inside);
}

/** The folders of snapshots, at the paths where the archive would have them. */
function ownFolders(reaches: readonly Reach[]): string[] {
  return reaches.flatMap(({ parts }) =>
    parts.flatMap(({ target, origin }) =>
      origin.kind === "frozen" && origin.inside === "" ? [joinPath(target, snapshotFolder)] : []
    )
  );
}

/** Remove the snapshots of runs that were killed. */
async function removeDeadSnapshots({ oldSnapshots }: Findings, id: string): Promise<string[]> {
  const dead = [];
  for (const snapshot of oldSnapshots) {
    if (!snapshot.isKept && !await isAlive(snapshot.run, runOwner(id)!)) dead.push(snapshot);
  }
  return await deleteSnapshots(dead);
}
