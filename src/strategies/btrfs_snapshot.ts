import {
  type Filesystem,
  type Frozen,
  joinPath,
  type Located,
  parentOf,
  type Reach,
  reachOf,
  visiblePaths,
} from "../btrfs/reach.ts";
import { deleteSnapshots, type Snapshot, takeSnapshots } from "../btrfs/snapshots.ts";
import {
  listSubvolumes,
  snapshotFolder,
  snapshotRun,
  type Subvolume,
} from "../btrfs/subvolumes.ts";
import { type Binding, namespaceFlags, viewFailed, withView } from "../btrfs/view.ts";
import { PlasmaError } from "../errors.ts";
import {
  isNetwork,
  isWithin,
  type Mount,
  mountOf,
  mountsBelow,
  readMounts,
} from "../system/mounts.ts";
import { run } from "../system/process.ts";
import { isAlive } from "../system/runtime_folder.ts";
import { runOwner } from "../system/run_id.ts";
import { requireTool } from "../system/tools.ts";
import { checkFolders, distinctFolders } from "./folders.ts";
import type {
  Coverage,
  FolderCoverage,
  RunMarks,
  Source,
  Strategy,
  StrategyContext,
  Survey,
} from "./mod.ts";
import { judgeTar, requireGnuTar, tarCommand } from "./tar_command.ts";

/** A subvolume that is to be frozen, and where its root can be reached. */
interface Root {
  readonly device: string;
  readonly subvolume: Subvolume;
  readonly path: string;
}

/** All that is known when the folders have been looked at. */
interface Findings {
  readonly reaches: readonly Reach[];
  readonly roots: readonly Root[];
  /** Snapshots in these filesystems that some run of plasma has made. */
  readonly oldSnapshots: readonly { path: string; run: string }[];
}

/**
 * Archives the folders from read-only snapshots of all subvolumes in reach: the state of one instant,
 * under the original paths. What is not on btrfs is archived as it is, and named.
 */
export class BtrfsSnapshotStrategy implements Strategy {
  readonly #context: StrategyContext;
  readonly #folders: readonly string[];

  constructor(context: StrategyContext) {
    this.#context = context;
    this.#folders = distinctFolders(context.config.folders);
  }

  async prepare(): Promise<void> {
    await requireGnuTar();
    await requireTool("btrfs");
    if (Deno.uid() !== 0) {
      throw new PlasmaError("snapshot", "only root can take snapshots of btrfs", {
        remedy: "run as root, or use the strategy tar",
      });
    }
    const { exit, messages } = await run({ program: "unshare", args: [...namespaceFlags, "true"] });
    if (exit.code === 0) return;
    throw new PlasmaError(
      "snapshot",
      `cannot make a private mount namespace: ${messages.tail}`,
      { remedy: "in a container grant CAP_SYS_ADMIN, or use the strategy tar outside of it" },
    );
  }

  async survey(): Promise<Survey> {
    const notices = await checkFolders(this.#folders);
    const mounts = await readMounts();
    const located = await Promise.all(this.#folders.map(locate));
    const filesystems = await readFilesystems(located, mounts);
    const reaches = located.map((folder) => reachOf(folder, mounts, filesystems));
    const findings: Findings = {
      reaches,
      roots: rootsOf(reaches, located, mounts),
      oldSnapshots: findOldSnapshots(filesystems, mounts),
    };
    requireBtrfs(findings);
    const coverage = this.#coverage(findings, notices);
    return { coverage, open: (marks) => this.#open(findings, coverage, marks) };
  }

  #coverage({ reaches, roots }: Findings, notices: readonly string[]): Coverage {
    const option = this.#context.config.options.liveMounts;
    const folders = reaches.map((reach) => coverageOf(reach, roots, option));
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
      : folders.flatMap(({ skipped }) => skipped)
        .filter(({ reason }) => reason.includes("liveMounts"))
        .map(({ path, reason }) => `${path} is left out: ${reason}`);
    return { folders, notices, warnings };
  }

  async #open(findings: Findings, coverage: Coverage, { id, folder }: RunMarks): Promise<Source> {
    const problems = await removeDeadSnapshots(findings, id);
    const { roots } = findings;
    const frozen = roots.filter(({ subvolume }) => !subvolume.readOnly);
    const snapshots = await takeSnapshots(frozen.map(({ path }) => path), id);
    const { config, ownPaths } = this.#context;
    const skipsLive = config.options.liveMounts === "skip";
    const view = `${folder}/view`;
    Deno.mkdirSync(view, { mode: 0o700 });
    const folders = skipsLive
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
      kind: "tar",
      frozen: true,
      command: withView(view, bindings(findings, snapshots, !skipsLive), command),
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

/** Where a folder really is: links above it resolved, but not the folder itself. */
async function locate(folder: string): Promise<Located> {
  if (folder === "/") return { folder, real: folder };
  const parent = await Deno.realPath(parentOf(folder));
  return { folder, real: joinPath(parent, folder.slice(folder.lastIndexOf("/") + 1)) };
}

/** The btrfs filesystems within reach of the folders. */
async function readFilesystems(
  located: readonly Located[],
  mounts: readonly Mount[],
): Promise<Filesystem[]> {
  const near = located.flatMap((
    { real },
  ) => [mountOf(real, mounts)!, ...mountsBelow(real, mounts)]);
  const devices = new Set(near.filter(({ type }) => type === "btrfs").map(({ device }) => device));
  const filesystems: Filesystem[] = [];
  for (const device of devices) {
    const mount = mounts.find((mount) => mount.device === device && isFolder(mount.path));
    if (mount === undefined) {
      throw new PlasmaError("snapshot", `no folder of the filesystem ${device} is mounted`);
    }
    filesystems.push({ device, subvolumes: await listSubvolumes(mount.path) });
  }
  return filesystems;
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** The subvolumes that the folders are made of, each once, with paths to their roots. */
function rootsOf(
  reaches: readonly Reach[],
  located: readonly Located[],
  mounts: readonly Mount[],
): Root[] {
  // Of several paths the one that belongs to a folder tells the user most.
  const isNear = (path: string) =>
    located.some(({ real }) => isWithin(real, path) || isWithin(path, real));
  const roots = new Map<string, Root>();
  for (const { origin } of reaches.flatMap(({ parts }) => parts)) {
    if (origin.kind === "live" || roots.has(keyOf(origin))) continue;
    const { device, subvolume } = origin;
    const paths = visiblePaths(device, subvolume, mounts, !subvolume.readOnly);
    const path = paths.find(isNear) ?? paths[0];
    if (path === undefined) {
      throw new PlasmaError(
        "snapshot",
        `the root of the subvolume "${subvolume.path}" (id ${subvolume.id}) is nowhere mounted writable`,
        { code: "source", remedy: `mount it: mount -o subvolid=${subvolume.id} DEVICE FOLDER` },
      );
    }
    roots.set(keyOf(origin), { device, subvolume, path });
  }
  return [...roots.values()];
}

const keyOf = ({ device, subvolume }: Pick<Frozen, "device" | "subvolume">) =>
  `${device} ${subvolume.id}`;

function requireBtrfs({ roots, reaches }: Findings): void {
  if (roots.length > 0) return;
  throw new PlasmaError(
    "snapshot",
    `neither ${reaches.map(({ folder }) => folder).join(" nor ")} is on btrfs`,
    { code: "source", remedy: "use the strategy tar" },
  );
}

function coverageOf(
  { folder, parts, skipped }: Reach,
  roots: readonly Root[],
  option: "include" | "skip" | "fail",
): FolderCoverage {
  const used = new Set(
    parts.flatMap(({ origin }) => origin.kind === "frozen" ? [keyOf(origin)] : []),
  );
  const live = parts.flatMap(({ target, origin }) =>
    origin.kind === "live"
      ? [{ path: isWithin(target, folder) ? target : folder, reason: `on ${origin.type}` }]
      : []
  );
  return {
    folder,
    snapshots: roots.filter((root) => used.has(keyOf(root))).map(({ path, subvolume }) => ({
      path,
      reason: `subvolume ${subvolume.id} (/${subvolume.path})` +
        (subvolume.readOnly ? ", read-only already" : ""),
    })),
    live: option === "skip" ? [] : live,
    skipped: [
      ...skipped.map((mount) => ({
        path: mount.path,
        reason: isNetwork(mount)
          ? `on a network filesystem (${mount.type})`
          : `no files of its own (${mount.type})`,
      })),
      ...(option === "skip"
        ? live.map(({ path, reason }) => ({ path, reason: `${reason}, liveMounts is "skip"` }))
        : []),
    ],
  };
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

function findOldSnapshots(
  filesystems: readonly Filesystem[],
  mounts: readonly Mount[],
): { path: string; run: string }[] {
  return filesystems.flatMap(({ device, subvolumes }) =>
    subvolumes.flatMap((subvolume) => {
      const run = subvolume.readOnly ? snapshotRun(subvolume.path, subvolumes) : undefined;
      if (run === undefined) return [];
      const [path] = visiblePaths(device, subvolume, mounts, true);
      return path === undefined ? [] : [{ path, run }];
    })
  );
}

/** Remove the snapshots of runs that were killed. */
async function removeDeadSnapshots({ oldSnapshots }: Findings, id: string): Promise<string[]> {
  const dead = [];
  for (const snapshot of oldSnapshots) {
    if (!await isAlive(snapshot.run, runOwner(id)!)) dead.push(snapshot);
  }
  return await deleteSnapshots(dead);
}
