import type { Line, State } from "../btrfs/lineage.ts";
import type { AgentConfig } from "../config/agent.ts";
import type { Sorter } from "../system/messages.ts";
import type { Command, Exit } from "../system/process.ts";
import type { RunId } from "../system/run_id.ts";
import type { Bounded } from "./long_paths.ts";
import type { MemberCounter } from "./member_counter.ts";

/**
 * A strategy turns the configured folders into the bytes of an archive. Each promises:
 * - what is missing of the folders is said, in the coverage or as a warning, never left out silently;
 * - if it cannot do what its name says it fails; it never falls back to another strategy.
 */
export interface Strategy {
  /** What its archives are: one stream of bytes, or subvolumes of btrfs. */
  readonly archives: Source["archives"];
  /**
   * Make sure that the strategy can work here, before anything is run. The folders need not exist
   * yet: hooks may make them.
   *
   * @throws {PlasmaError} that says what is missing
   */
  prepare(): Promise<void>;
  /**
   * Find out what would be archived, and how. Changes nothing.
   *
   * @throws {PlasmaError} if a folder is missing, or cannot be archived in this way
   */
  survey(): Promise<Survey>;
}

/** What a strategy has found, and would archive. */
export interface Survey {
  readonly coverage: Coverage;
  /** Freeze what is to be frozen; from now on there is something to clean up. */
  open(run: RunMarks): Promise<Source>;
}

/** By what a run marks what it makes, and where it keeps what only it needs. */
export interface RunMarks {
  readonly id: RunId;
  /** A private folder that goes with the run. */
  readonly folder: string;
}

/** What a backup covers, for people and programs. */
export interface Coverage {
  readonly folders: readonly FolderCoverage[];
  /** What the user should know, although nothing is wrong. */
  readonly notices: readonly string[];
  /** What is archived in another way than the strategy's name promises. */
  readonly warnings: readonly string[];
  /** What is left out because something is wrong with it; the run ends with status 3. */
  readonly problems: readonly string[];
}

/** What a backup covers of one configured folder. */
export interface FolderCoverage {
  readonly folder: string;
  /** The subvolumes that are frozen, each at the path of its root. */
  readonly snapshots: readonly Place[];
  /** What is read while it may change. */
  readonly live: readonly Place[];
  readonly skipped: readonly Place[];
}

/** A mounted filesystem, or another place in the tree, and why it is treated as it is. */
export interface Place {
  readonly path: string;
  readonly reason: string;
}

/** An archive in the making. */
export type Source = StreamSource | SubvolumeSource;

interface OpenSource {
  /** Whether it is a frozen state: then services may go on as soon as it is open. */
  readonly frozen: boolean;
  /**
   * Clean up. Does nothing when called again.
   *
   * @returns what could not be cleaned up, each with the remedy
   */
  close(): Promise<readonly string[]>;
}

/** An archive that is one stream of bytes. */
export interface StreamSource extends OpenSource {
  readonly archives: "stream";
  /** The kind of the archive without compression and encryption, always "tar" so far. */
  readonly kind: string;
  /** The program that writes the archive to its standard output; without one it is empty. */
  readonly command: Command | undefined;
  /**
   * Judge the end of the program.
   *
   * @returns warnings: the archive is usable, but these files are not as they should be
   * @throws {PlasmaError} if the archive is not usable
   */
  judge(exit: Exit, messages: readonly string[]): readonly string[];
  /**
   * What to run in place of the program, if it has met something that it cannot cope with.
   *
   * @param error what judge() has thrown
   * @returns undefined if that would not help
   */
  bound?(error: unknown, signal: AbortSignal): Promise<Bounded | undefined>;
  /**
   * Counts what the program archives, which is then tar: what came of each folder is known when it has
   * ended well.
   */
  readonly counter?: MemberCounter;
  /** Which lines of the program's messages judge() need not see, but only how many there were. */
  readonly sort?: Sorter;
}

/** An archive that is made of whole subvolumes. */
export interface SubvolumeSource extends OpenSource {
  readonly archives: "subvolumes";
  readonly subvolumes: readonly SentSubvolume[];
  /** Given a command that names the paths of snapshots, return it as it must be run to see them. */
  within(command: Command): Command;
  /**
   * Delete kept snapshots that the store does not have: runs that were killed have left them.
   *
   * @param identities the uuids that the store has
   * @returns what could not be deleted, each with the remedy
   */
  dropUnknown(identities: ReadonlySet<string>): Promise<readonly string[]>;
  /** The archive is committed: keep these snapshots as the parents of the next one, and no others. */
  keep(): void;
}

/** A subvolume that is to be sent. */
export interface SentSubvolume {
  /** The path of its root. */
  readonly path: string;
  readonly snapshot: SentSnapshot;
  /** Earlier snapshots of it that were kept, the newest first. */
  readonly parents: readonly SentSnapshot[];
  /**
   * Names the family: subvolumes with the same one are snapshots of one another, or of one origin, and
   * share extents.
   */
  readonly family: string;
  /** The transaction of the filesystem that its state is of; relatives that are near share most. */
  readonly madeIn: number;
  /** The states that it has gone through: snapshots of others that hold one of them can be its parent. */
  readonly line: Line;
  /** Whether a configured folder lies in it itself: then there is no archive without it. */
  readonly isNeeded: boolean;
}

/** A read-only snapshot, and the uuid by which it is known where it was sent to. */
export interface SentSnapshot {
  readonly path: string;
  readonly identity: string;
  /** What it holds. */
  readonly states: readonly State[];
}

/** What a strategy needs to know. */
export interface StrategyContext {
  readonly config: AgentConfig;
  /** Folders and files that the run itself writes: left out of the archive. */
  readonly ownPaths: readonly string[];
}

/** The strategies: a new one is a file, a name in config/agent.ts and a row here. */
const strategies: Record<
  AgentConfig["strategy"],
  (context: StrategyContext) => Promise<Strategy>
> = {
  "btrfs-snapshot": async (context) =>
    new (await import("./btrfs_snapshot.ts")).BtrfsSnapshotStrategy(context),
  "btrfs-send": async (context) => new (await import("./btrfs_send.ts")).BtrfsSendStrategy(context),
  "tar": async (context) => new (await import("./tar.ts")).TarStrategy(context),
  "noop": async () => new (await import("./noop.ts")).NoopStrategy(),
};

/** The strategy of a config. */
export function openStrategy(context: StrategyContext): Promise<Strategy> {
  return strategies[context.config.strategy](context);
}
