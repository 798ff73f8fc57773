import type { Part, Reach } from "../btrfs/reach.ts";
import { freeze } from "../btrfs/freeze.ts";
import { deleteSnapshots, type Snapshot } from "../btrfs/snapshots.ts";
import { isReadOnly, snapshotFolder } from "../btrfs/subvolumes.ts";
import {
  type Findings,
  keyOf,
  requireNamespace,
  requireSnapshots,
  type Root,
  surveyBtrfs,
} from "../btrfs/survey.ts";
import { type Binding, viewFailed, withView } from "../btrfs/view.ts";
import { tidyPath } from "../config/values.ts";
import { PlasmaError } from "../errors.ts";
import { seenThrough } from "../system/locate.ts";
import { isAlive } from "../system/runtime_folder.ts";
import { runOwner } from "../system/run_id.ts";
import { coverageOf } from "./btrfs_coverage.ts";
import { checkFolders, distinctFolders } from "./folders.ts";
import type { Coverage, RunMarks, Strategy, StrategyContext, StreamSource, Survey } from "./mod.ts";
import { judgeTar, requireGnuTar, tarCommand } from "./tar_command.ts";
import { isWithin, joinPath } from "../system/paths.ts";

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
    const findings = await this.#look();
    const coverage = this.#coverage(findings, notices);
    return { coverage, open: (marks) => this.#open(findings, marks) };
  }

  #look(): Promise<Findings> {
    const excluded = excludedFolders(this.#context.config.exclude);
    return surveyBtrfs(this.#folders, { skipsLive: this.#skipsLive, excluded });
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

  async #open(found: Findings, { id, folder }: RunMarks): Promise<StreamSource> {
    const { config, ownPaths } = this.#context;
    const view = `${folder}/view`;
    Deno.mkdirSync(view, { mode: 0o700 });
    const problems = await removeDeadSnapshots(found, id);
    const { findings, snapshots } = await freeze(found, id, () => this.#look());
    const coverage = this.#coverage(findings, []);
    const folders = coverage.folders.map(({ folder, snapshots }, index) => ({
      path: folder,
      root: `${view}/${index}`,
      isEmpty: this.#skipsLive && snapshots.length === 0,
    }));
    const command = tarCommand({
      folders: folders.filter(({ isEmpty }) => !isEmpty),
      exclude: config.exclude,
      excludeCaches: config.excludeCaches,
      omit: [
        ...await seenThrough(findings.located, ownPaths, findings.mounts),
        ...ownFolders(findings.reaches),
      ],
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
        return judgeTar(exit, messages, (words) => live.some((place) => isAbout(words, place)));
      },
      async close() {
        if (!open) return [];
        open = false;
        return [...problems, ...await deleteSnapshots(snapshots)];
      },
    };
  }
}

/** The patterns that stand for one folder with all that is in it. */
const excludedFolders = (patterns: readonly string[]) =>
  patterns.filter((pattern) => pattern.startsWith("/") && !/[*?[\\]/.test(pattern)).map(tidyPath);

/** Whether words of tar are about a path or something below it. */
const isAbout = (words: string, path: string) =>
  isWithin(words, path) || words.startsWith(`${path}: `);

/**
 * What tar is to see, upper places before those below them. Each folder has a tree of its own, by its
 * number: in that of another folder a part of its path may be a link.
 */
function bindings(
  { reaches, roots }: Findings,
  snapshots: readonly Snapshot[],
  withLive: boolean,
): Binding[] {
  const taken = new Map(snapshots.map(({ source, path }) => [source, path]));
  const source = (origin: Part["origin"]) =>
    origin.kind === "frozen" || withLive ? sourceOf(origin, roots, taken) : "";
  return reaches.flatMap(({ parts }, index) =>
    bindingsOf(parts, source)
      .map(({ source, target }) => ({ source, target: joinPath(`/${index}`, target.slice(1)) }))
  );
}

function bindingsOf(
  parts: readonly Part[],
  sourceOf: (origin: Part["origin"]) => string,
): Binding[] {
  const found = new Map<string, Binding>();
  for (const { target, origin } of parts) {
    if (!found.has(target)) found.set(target, { target, source: sourceOf(origin) });
  }
  // What is skipped is nothing but a place for what is shown below it, if something is.
  for (const [target, { source }] of found) {
    const isPlace = [...found.values()].some((other) =>
      other.source !== "" && other.target !== target && isWithin(other.target, target)
    );
    if (source === "" && !isPlace) found.delete(target);
  }
  return [...found.values()];
}

function sourceOf(
  origin: Part["origin"],
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
    if (snapshot.isKept || !await isReadOnly(snapshot.path)) continue;
    if (!await isAlive(snapshot.run, runOwner(id)!)) dead.push(snapshot);
  }
  return await deleteSnapshots(dead);
}
