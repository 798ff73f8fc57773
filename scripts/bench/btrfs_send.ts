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

/**
 * Delete all that was sent, and what the shell has kept: the next one sends everything. Waits until the
 * kernel has freed it, which else takes the next one's time.
 */
const forget = 'for each in "$1"/storage/*.btrfs/* "$1"/shell/* "$2"/*; do ' +
  'case $(stat -c %i "$each" 2>/dev/null) in 256) btrfs -q subvolume delete "$each";; esac; done; ' +
  'rm -rf "$1"/storage/*.btrfs; for each in "$1" "${2%/*}"; do btrfs filesystem sync "$each"; ' +
  'btrfs subvolume sync "$each"; done; sync';

/** How many small subvolumes there are where the number counts and not the size. */
const many = 100;
const makeMany = 'btrfs -q subvolume create "$1"; for each in $(seq "$2"); do ' +
  'btrfs -q subvolume create "$1/$each"; head -c 20000 /dev/urandom >"$1/$each/file"; done; sync';

/** The same by hand: each subvolume with a connection of its own. */
const manyLine = `${sshOfShell} source=$1 target=$2; kept=\${source%/*}/shell; mkdir -p "$kept"; ` +
  'for each in "$source"/*; do new="$kept/${each##*/}"; ' +
  'btrfs -q subvolume snapshot -r "$each" "$new"; btrfs send --quiet "$new" | ' +
  "there \"btrfs receive '$target'\"; done";

/** Sending what has changed since the night before. */
export const btrfsSend: Benchmark = {
  name: "btrfs-send",
  summary: "first sends, nights, many subvolumes, against btrfs send -p | ssh (root)",
  async run(workshop, report) {
    if (!canMount(workshop, "btrfs-send")) return;
    await using from = await Btrfs.make("from", workshop.size * 3, workshop);
    await using to = await Btrfs.make("to", workshop.size * 3, workshop);
    await using sshd = await Sshd.start();
    const source = `${from.path}/source`;
    const lots = `${from.path}/many`;
    const target = `${to.path}/shell`;
    await bash('btrfs -q subvolume create "$1"; mkdir "$2"', [source, target], workshop);
    const data = await makeData({ ...workshop, folder: source });
    await bash(makeMany, [lots, String(many)], workshop);
    const storage = new Storage(to.path);
    await storage.empty();
    const size = `${(data.size / 2 ** 20).toFixed(0)} MiB`;
    const first = () => bash(forget, [to.path, `${from.path}/shell`], workshop);
    const contests: readonly Contest[] = [
      { what: `first send, ${size}`, prepare: first, folder: source, line: shellLine, goal: "1.1" },
      {
        what: `1 % changed, ${size}`,
        prepare: () => bash(change, [source], workshop),
        folder: source,
        line: shellLine,
        goal: "raw + 0.5 s",
      },
      {
        what: `nothing changed, ${size}`,
        prepare: () => bash("sync", [], workshop),
        folder: source,
        line: shellLine,
        goal: "raw + 0.5 s",
      },
      {
        what: `${many} small subvolumes`,
        prepare: first,
        folder: lots,
        line: manyLine,
        goal: "2",
      },
    ];
    for (const { what, prepare, folder, line, goal } of contests) {
      const { plasma, shell } = await takeTurns(workshop, {
        plasma: {
          prepare,
          run: () => backUp(folder, storage, sshd, workshop, "--strategy", "btrfs-send"),
        },
        shell: { prepare, run: () => bash(line, [...sshWords(sshd), folder, target], workshop) },
      });
      report({
        what: `btrfs-send, ${what}`,
        plasma: formatTime(plasma),
        other: `shell ${formatTime(shell)}`,
        ratio: ratioOf(plasma, shell),
        goal,
      });
    }
  },
};

/** What is sent, and how by hand. */
interface Contest {
  readonly what: string;
  prepare(): Promise<void>;
  readonly folder: string;
  readonly line: string;
  readonly goal: string;
}
