import { Gate } from "../support/gate.ts";
import { untilMidUpload } from "../support/runs.ts";
import type { Site } from "../support/site.ts";

/** A run that has been stopped at some point. */
export interface Stopped {
  readonly run: ReturnType<Site["start"]>;
  /** Let go on what is left of it. */
  open(): void;
}

/** Make what the runs archive: subvolumes nested in each other. */
export async function makeSource(site: Site): Promise<void> {
  await site.subvolume("btrfs/data");
  await site.subvolume("btrfs/data/nested");
  await site.subvolume("btrfs/data/nested/twice");
  for (const name of ["data", "data/nested", "data/nested/twice"]) site.write(`btrfs/${name}/file`);
}

/** The arguments of btrfs(8) that snapshot one of the subvolumes and not the others. */
const snapshotOfNested = "*subvolume\\ snapshot*data/nested\\ *";

/** The points at which runs are stopped, by a fake program on PATH that waits. */
const gates: Readonly<Record<string, (site: Site) => Gate>> = {
  "the subvolumes are listed": (site) => Gate.at(site, "before", "btrfs", "*subvolume\\ list*"),
  "the snapshots are about to be taken": (site) =>
    Gate.at(site, "before", "btrfs", "*subvolume\\ snapshot*"),
  "one snapshot is not taken yet": (site) => Gate.at(site, "before", "btrfs", snapshotOfNested),
  "a snapshot has just been taken": (site) => Gate.at(site, "after", "btrfs", snapshotOfNested),
  "the view is being built": (site) => Gate.at(site, "before", "mount", "*/view*nested*"),
  "tar is about to begin": (site) => Gate.at(site, "before", "tar", "*--create*"),
  "tar has ended": (site) => Gate.at(site, "after", "tar", "*--create*"),
  "the snapshots are about to be deleted": (site) =>
    Gate.at(site, "before", "btrfs", "*subvolume\\ delete*"),
  "the snapshots have just been deleted": (site) =>
    Gate.at(site, "after", "btrfs", "*subvolume\\ delete*"),
};

/** The hooks at which runs are stopped. */
const hooks = ["executeBefore", "executeAfterSnapshot", "executeAfter"] as const;

/** Start a run of `btrfs/data` and stop it, at each of all points. */
export const stages: Readonly<
  Record<string, (site: Site, through?: readonly string[]) => Promise<Stopped>>
> = {
  ...Object.fromEntries(
    Object.entries(gates).map(([stage, makeGate]) => [
      stage,
      async (site: Site, through: readonly string[] = []) => {
        const gate = makeGate(site);
        return await stopAt(gate, site.start(["btrfs/data"], {}, { through }));
      },
    ]),
  ),
  ...Object.fromEntries(
    hooks.map((hook) => [
      `the hook ${hook} runs`,
      async (site: Site, through: readonly string[] = []) => {
        const gate = new Gate(site);
        return await stopAt(
          gate,
          site.start(["btrfs/data"], { [hook]: [gate.line] }, { through }),
        );
      },
    ]),
  ),
  "the upload is in its middle": async (site, through = []) => {
    site.write("btrfs/data/large", new Uint8Array(24 << 20).fill(7));
    const run = site.start(["btrfs/data"], { bandwidthLimit: "8M" }, { through });
    await untilMidUpload(site.storage);
    Deno.removeSync(site.at("btrfs/data/large"));
    return { run, open() {} };
  },
};

async function stopAt(gate: Gate, run: ReturnType<Site["start"]>): Promise<Stopped> {
  await gate.reached();
  return { run, open: () => gate.open() };
}

/** Do something for each stage, and tell at which one it failed. */
export async function atEachStage(
  act: (stop: (typeof stages)[string], stage: string) => Promise<void>,
): Promise<void> {
  for (const [stage, stop] of Object.entries(stages)) {
    try {
      await act(stop, stage);
    } catch (error) {
      throw new Error(`when ${stage}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}
