import { locate, seenThrough } from "../system/locate.ts";
import {
  findUnreadable,
  isPseudo,
  type Mount,
  mountOf,
  mountsBelow,
  ownReason,
  pseudoReason,
  readMounts,
  splitMounts,
} from "../system/mounts.ts";
import { mayReadAll } from "../system/capabilities.ts";
import { isWithin, joinPath, relativePath } from "../system/paths.ts";
import { checkFolders, describeProblem, distinctFolders } from "./folders.ts";
import { boundPaths } from "./long_paths.ts";
import { MemberCounter } from "./member_counter.ts";
import type {
  Coverage,
  Place,
  RunMarks,
  Strategy,
  StrategyContext,
  StreamSource,
  Survey,
} from "./mod.ts";
import { judgeTar, sortLine } from "./judge_tar.ts";
import { patternList, requireGnuTar, tarCommand, type TarJob } from "./tar_command.ts";

/** Snapshots of the strategies for btrfs, seen where the top level is mounted, see run_id.ts. */
const ownSnapshots = `.plasma/${"[0-9]".repeat(8)}T${"[0-9]".repeat(6)}Z-*-*-*`;

/** Archives the folders as they are, while they may change. */
export class TarStrategy implements Strategy {
  readonly archives = "stream";
  readonly #context: StrategyContext;
  readonly #folders: readonly string[];

  constructor(context: StrategyContext) {
    this.#context = context;
    this.#folders = distinctFolders(context.config.folders);
  }

  prepare(): Promise<void> {
    return requireGnuTar();
  }

  async survey(): Promise<Survey> {
    const notices = await checkFolders(this.#context.config.folders);
    const [mounts, located, readsAll] = await Promise.all([
      readMounts(),
      Promise.all(this.#folders.map(locate)),
      mayReadAll(),
    ]);
    const below = located.flatMap(({ real }) => mountsBelow(real, mounts));
    const [unreadable, ownPlaces] = await Promise.all([
      findUnreadable(below.filter((mount) => !isPseudo(mount))),
      seenThrough(located, this.#context.ownPaths, mounts),
    ]);
    const skipReason = (mount: Mount) => pseudoReason(mount) ?? unreadable.get(mount.id);
    const faulty: Place[] = [];
    const folders = located.map(({ folder, real }) => {
      const { taken, skipped } = splitMounts(mountsBelow(real, mounts), skipReason);
      const placeOf = ({ path }: Mount) => joinPath(folder, relativePath(path, real));
      const left = skipped.map((mount) => ({ ...mount, path: placeOf(mount) }));
      faulty.push(...left.filter(({ isProblem }) => isProblem));
      const here = mountOf(real, mounts);
      return {
        folder,
        snapshots: [],
        live: [
          { path: folder, reason: `read as it is${here === undefined ? "" : ` (${here.type})`}` },
          ...taken.map((mount) => ({
            path: placeOf(mount),
            reason: `mounted below (${mount.type})`,
          })),
        ],
        skipped: [
          ...left.map(({ path, reason }) => ({ path, reason })),
          ...ownPlaces.filter((path) => isWithin(path, folder))
            .map((path) => ({ path, reason: ownReason.reason })),
        ],
      };
    });
    const problems = faulty.map(describeProblem);
    const omit = [...ownPlaces, ...faulty.map(({ path }) => path)];
    const coverage = { folders, notices, warnings: [], problems };
    // Whoever may not read a file himself is told so by status 1.
    const excusing = readsAll ? this.#folders : [];
    return {
      coverage,
      open: (marks) => Promise.resolve(this.#source(coverage, omit, excusing, marks)),
    };
  }

  #source(
    coverage: Coverage,
    omit: readonly string[],
    excusing: readonly string[],
    { folder }: RunMarks,
  ): StreamSource {
    const { config } = this.#context;
    const job: TarJob = {
      folders: this.#folders.map((path) => ({ root: "/", path })),
      exclude: [...config.exclude, ownSnapshots],
      excludeCaches: config.excludeCaches,
      omit,
      empty: coverage.folders.flatMap(({ skipped }) => skipped.map(({ path }) => path)),
      listFile: `${folder}/omitted`,
    };
    Deno.writeTextFileSync(`${folder}/omitted`, patternList(job), { mode: 0o600 });
    return {
      archives: "stream",
      kind: "tar",
      frozen: false,
      command: tarCommand(job),
      counter: new MemberCounter(config.folders),
      bound: (error, signal) => boundPaths(error, job, (command) => command, signal),
      judge: (exit, messages) => judgeTar(exit, messages, () => true, excusing),
      sort: (line) => sortLine(line, () => true, excusing),
      close: () => Promise.resolve([]),
    };
  }
}
