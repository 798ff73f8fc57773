import { locate, seenThrough } from "../system/locate.ts";
import { mountOf, mountsBelow, pseudoReason, readMounts, splitMounts } from "../system/mounts.ts";
import { checkFolders, distinctFolders } from "./folders.ts";
import type { Coverage, Strategy, StrategyContext, StreamSource, Survey } from "./mod.ts";
import { judgeTar, requireGnuTar, tarCommand } from "./tar_command.ts";

/** Snapshots that the strategies for btrfs keep, or a killed run of them has left, see run_id.ts. */
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
    const notices = await checkFolders(this.#folders);
    const mounts = await readMounts();
    const folders = this.#folders.map((folder) => {
      const { taken, skipped } = splitMounts(mountsBelow(folder, mounts), pseudoReason);
      const here = mountOf(folder, mounts);
      return {
        folder,
        snapshots: [],
        live: [
          { path: folder, reason: `read as it is${here === undefined ? "" : ` (${here.type})`}` },
          ...taken.map(({ path, type }) => ({ path, reason: `mounted below (${type})` })),
        ],
        skipped: skipped.map(({ path, reason }) => ({ path, reason })),
      };
    });
    const coverage = { folders, notices, warnings: [] };
    const located = await Promise.all(this.#folders.map(locate));
    const omit = await seenThrough(located, this.#context.ownPaths, mounts);
    return { coverage, open: () => Promise.resolve(this.#source(coverage, omit)) };
  }

  #source(coverage: Coverage, omit: readonly string[]): StreamSource {
    const { config } = this.#context;
    const command = tarCommand({
      folders: this.#folders.map((path) => ({ root: "/", path })),
      exclude: [...config.exclude, ownSnapshots],
      excludeCaches: config.excludeCaches,
      omit,
      empty: coverage.folders.flatMap(({ skipped }) => skipped.map(({ path }) => path)),
    });
    return {
      archives: "stream",
      kind: "tar",
      frozen: false,
      command,
      judge: (exit, messages) => judgeTar(exit, messages, () => true),
      close: () => Promise.resolve([]),
    };
  }
}
