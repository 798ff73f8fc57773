import { freeze, type Frost } from "../btrfs/freeze.ts";
import type { Live, Part, Reach } from "../btrfs/reach.ts";
import { deleteSnapshots, pathOf, requireSnapshots } from "../btrfs/snapshots.ts";
import { removeDeadSnapshots } from "../btrfs/leftovers.ts";
import { topId } from "../btrfs/root_tree.ts";
import { type Findings, keyOf, type ListedFilesystem, surveyBtrfs } from "../btrfs/survey.ts";
import { snapshotFolder, topFailed, withTops } from "../btrfs/tops.ts";
import { type Binding, View } from "../btrfs/view.ts";
import { tidyPath } from "../config/values.ts";
import { PlasmaError } from "../errors.ts";
import { escapeMountPath } from "../system/mounts.ts";
import { isWithin, joinPath } from "../system/paths.ts";
import type { Command } from "../system/process.ts";
import { coverageOf, problemsOf, rootsByKey } from "./btrfs_coverage.ts";
import { checkFolders, distinctFolders } from "./folders.ts";
import { boundPaths } from "./long_paths.ts";
import { MemberCounter } from "./member_counter.ts";
import type { Coverage, RunMarks, Strategy, StrategyContext, StreamSource, Survey } from "./mod.ts";
import { judgeTar, sortLine } from "./judge_tar.ts";
import { requireGnuTar, tarCommand, type TarJob } from "./tar_command.ts";

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
    await Promise.all([requireGnuTar(), requireSnapshots()]);
  }

  async survey(): Promise<Survey> {
    const notices = await checkFolders(this.#context.config.folders);
    const findings = await this.#look();
    const coverage = this.#coverage(findings, notices);
    return { coverage, open: (marks) => this.#open(findings, marks) };
  }

  #look(known: readonly ListedFilesystem[] = []): Promise<Findings> {
    const { config, ownPaths } = this.#context;
    const excluded = excludedFolders(config.exclude);
    const options = {
      skipsLive: this.#skipsLive,
      isExcluded: (path: string) => excluded.some((folder) => isWithin(path, folder)),
      ownPaths,
    };
    return surveyBtrfs(this.#folders, options, known);
  }

  #coverage(
    { reaches, roots, ownPlaces, problems }: Findings,
    notices: readonly string[],
  ): Coverage {
    const option = this.#context.config.options.liveMounts;
    const byKey = rootsByKey(roots);
    const folders = reaches.map((reach) => coverageOf(reach, byKey, this.#skipsLive, ownPlaces));
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
    return { folders, notices, warnings, problems: [...problemsOf(folders), ...problems] };
  }

  async #open(found: Findings, { id, folder }: RunMarks): Promise<StreamSource> {
    const { config } = this.#context;
    const problems = await removeDeadSnapshots(found, id);
    const look = (known: readonly ListedFilesystem[]) => this.#look(known);
    const frost = await freeze(found, { run: id, isKept: false, look });
    const snapshots = [...frost.snapshots.values()];
    try {
      const { findings } = frost;
      problems.push(...frost.problems);
      const path = `${folder}/view`;
      const view = new View(path, bindings(frost, !this.#skipsLive));
      const coverage = this.#coverage(findings, []);
      const folders = coverage.folders.map(({ folder, snapshots }, index) => ({
        path: folder,
        root: `${path}/${index}`,
        isEmpty: this.#skipsLive && snapshots.length === 0,
      }));
      const job: TarJob = {
        folders: folders.filter(({ isEmpty }) => !isEmpty),
        exclude: config.exclude,
        excludeCaches: config.excludeCaches,
        omit: [...findings.ownPlaces, ...ownFolders(findings.reaches)],
        empty: [],
      };
      const live = coverage.folders.flatMap(({ live }) => live.map(({ path }) => path));
      const isLive = (words: string) => live.some((place) => isAbout(words, place));
      const tops = findings.filesystems.map(({ top }) => top);
      const within = (command: Command) => withTops(tops, view.command(command));
      let missing: ReturnType<View["missing"]> = [];
      let doomed = snapshots;
      return {
        archives: "stream",
        kind: "tar",
        frozen: true,
        command: within(tarCommand(job)),
        counter: new MemberCounter(config.folders),
        bound: (error, signal) => boundPaths(error, job, within, signal),
        judge(exit, messages) {
          if (exit.code === topFailed) {
            throw new PlasmaError("snapshot", messages.join(" / "), { code: "source" });
          }
          missing = view.missing();
          return judgeTar(exit, messages, isLive, config.folders);
        },
        sort: (line) => sortLine(line, isLive, config.folders),
        async close() {
          problems.push(
            ...missing.splice(0).map(({ binding: { target }, reason }) =>
              `snapshot: ${target.replace(/^\/\d+/, "")} is left out: ${reason}`
            ),
          );
          const left = await deleteSnapshots(doomed);
          doomed = [];
          return [...problems.splice(0), ...left];
        },
      };
    } catch (error) {
      await deleteSnapshots(snapshots);
      throw error;
    }
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
function bindings({ findings: { reaches }, snapshots }: Frost, withLive: boolean): Binding[] {
  const shown = ({ target, origin }: Part): Omit<Binding, "isNeeded"> => {
    if (origin.kind === "live") {
      return withLive
        ? { source: origin.path, target, expected: expectedAt(origin) }
        : { source: "", target, expected: "" };
    }
    const source = joinPath(pathOf(snapshots.get(keyOf(origin))!), origin.inside);
    return { source, target, expected: "" };
  };
  return reaches.flatMap(({ parts }, index) =>
    bindingsOf(parts, shown)
      .map((binding) => ({ ...binding, target: joinPath(`/${index}`, binding.target.slice(1)) }))
  );
}

/** What mountinfo must say of a place, whose path others may be able to change. */
const expectedAt = ({ device, root }: Live) => `${device} ${escapeMountPath(root)}`;

function bindingsOf(
  parts: readonly Part[],
  shown: (part: Part) => Omit<Binding, "isNeeded">,
): Binding[] {
  const found = new Map<string, Binding>();
  for (const [index, part] of parts.entries()) {
    if (found.has(part.target)) continue;
    found.set(part.target, { ...shown(part), isNeeded: index === 0 });
  }
  // What is skipped is nothing but a place for what is shown below it, if something is.
  const targets = [...found.values()].filter(({ source }) => source !== "");
  for (const [target, { source }] of found) {
    const isPlace = targets.some((other) =>
      other.target !== target && isWithin(other.target, target)
    );
    if (source === "" && !isPlace) found.delete(target);
  }
  return [...found.values()];
}

/** The folders of snapshots, at the paths where the archive would have them. */
function ownFolders(reaches: readonly Reach[]): string[] {
  return reaches.flatMap(({ parts }) =>
    parts.flatMap(({ target, origin }) =>
      origin.kind === "frozen" && origin.inside === "" && origin.subvolume.id === topId
        ? [joinPath(target, snapshotFolder)]
        : []
    )
  );
}
