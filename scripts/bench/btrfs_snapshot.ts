import { plasmaProgram } from "../../tests/support/plasma.ts";
import { Btrfs, canMount } from "./btrfs.ts";
import { bash, run } from "./command.ts";
import { makeData } from "./data.ts";
import { formatTime, ratioOf, takeTurns } from "./measure.ts";
import type { Benchmark } from "./mod.ts";
import { Storage } from "./storage.ts";

const subvolumes = 20;

/** Nested subvolumes, with the data in the outermost one. */
const makeSubvolumes = 'btrfs -q subvolume create "$1/source"; ' +
  "for ((number = 1; number < $2; number++)); do " +
  'btrfs -q subvolume create "$1/source/$number"; echo "$number" >"$1/source/$number/file"; done';

/** Archiving from snapshots. */
export const btrfsSnapshot: Benchmark = {
  name: "btrfs-snapshot",
  summary: `archive ${subvolumes} subvolumes from snapshots, against strategy tar (root)`,
  async run(workshop, report) {
    if (!canMount(workshop, "btrfs-snapshot")) return;
    await using btrfs = await Btrfs.make("btrfs", workshop.size, workshop);
    await bash(makeSubvolumes, [btrfs.path, String(subvolumes)], workshop);
    const source = `${btrfs.path}/source`;
    const data = await makeData({ ...workshop, folder: source });
    const storage = new Storage(workshop.folder);
    const frozenAt = `${workshop.folder}/frozen-at`;
    const configOf = async (strategy: string) => {
      const config = `${workshop.folder}/${strategy}.json`;
      const hooks = [`date +%s%3N >'${frozenAt}'`];
      const content = {
        strategy,
        folders: [source],
        remoteFolder: storage.folder,
        executeAfterSnapshot: hooks,
      };
      await Deno.writeTextFile(config, JSON.stringify(content));
      return config;
    };
    const backUp = async (config: string) => {
      await run([plasmaProgram, "backup", "--config", config], workshop);
    };
    const prepare = async () => {
      await storage.empty();
      await bash("sync", [], workshop);
    };
    const configs = { snapshot: await configOf("btrfs-snapshot"), tar: await configOf("tar") };
    const frozenAfter: number[] = [];
    const { snapshot, tar } = await takeTurns(workshop, {
      snapshot: {
        prepare,
        async run() {
          const start = Date.now();
          await backUp(configs.snapshot);
          frozenAfter.push((Number(await Deno.readTextFile(frozenAt)) - start) / 1000);
        },
      },
      tar: { prepare, run: () => backUp(configs.tar) },
    });
    report({
      what: `start to last of ${subvolumes} snapshots`,
      plasma: formatTime(frozenAfter.slice(1)),
    });
    report({
      what: `btrfs-snapshot, ${(data.size / 2 ** 20).toFixed(0)} MiB`,
      plasma: formatTime(snapshot),
      other: `strategy tar ${formatTime(tar)}`,
      ratio: ratioOf(snapshot, tar),
    });
  },
};
