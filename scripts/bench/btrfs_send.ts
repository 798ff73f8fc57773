import { Sshd } from "../../tests/support/sshd.ts";
import { Btrfs, canMount } from "./btrfs.ts";
import { bash } from "./command.ts";
import { makeData } from "./data.ts";
import { formatTime, ratioOf, takeTurns } from "./measure.ts";
import type { Benchmark } from "./mod.ts";
import { backUp, sshOfShell, sshWords, Storage } from "./storage.ts";

/** New bytes in the first hundredth of each file. */
const change = 'find "$1/data" -type f -printf "%s %p\\n" | while read -r size path; do ' +
  'head -c "$((size / 100))" /dev/urandom | dd of="$path" conv=notrunc status=none; done; sync';

/** What plasma does by hand: a snapshot, the increment to the one before, which then goes. */
const shellLine =
  `${sshOfShell} source=$1 target=$2; kept=\${source%/*}/shell; mkdir -p "$kept"; ` +
  'old=$(ls "$kept"); new=$(date +%s%N); ' +
  'btrfs -q subvolume snapshot -r "$source" "$kept/$new"; ' +
  'btrfs send --quiet ${old:+-p "$kept/$old"} "$kept/$new" | ' +
  "there \"btrfs receive '$target' && btrfs filesystem sync '$target'\"; " +
  'if [ -n "$old" ]; then btrfs -q subvolume delete "$kept/$old"; fi';

/** Sending what has changed since the night before. */
export const btrfsSend: Benchmark = {
  name: "btrfs-send",
  summary: "nights with 1 % changed and with nothing, against btrfs send -p | ssh (root)",
  async run(workshop, report) {
    if (!canMount(workshop, "btrfs-send")) return;
    await using from = await Btrfs.make("from", workshop.size * 2, workshop);
    await using to = await Btrfs.make("to", workshop.size * 3, workshop);
    await using sshd = await Sshd.start();
    const source = `${from.path}/source`;
    const target = `${to.path}/shell`;
    await bash('btrfs -q subvolume create "$1"; mkdir "$2"', [source, target], workshop);
    const data = await makeData({ ...workshop, folder: source });
    const storage = new Storage(to.path);
    await storage.empty();
    const nights = {
      "1 % changed": () => bash(change, [source], workshop),
      "nothing changed": () => bash("sync", [], workshop),
    };
    for (const [what, prepare] of Object.entries(nights)) {
      const { plasma, shell } = await takeTurns(workshop, {
        plasma: {
          prepare,
          run: () => backUp(source, storage, sshd, workshop, "--strategy", "btrfs-send"),
        },
        shell: {
          prepare,
          run: () => bash(shellLine, [...sshWords(sshd), source, target], workshop),
        },
      });
      report({
        what: `btrfs-send, ${what}, ${(data.size / 2 ** 20).toFixed(0)} MiB`,
        plasma: formatTime(plasma),
        other: `shell ${formatTime(shell)}`,
        ratio: ratioOf(plasma, shell),
      });
    }
  },
};
