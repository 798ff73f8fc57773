import { plasmaProgram } from "../../tests/support/plasma.ts";
import { Sshd } from "../../tests/support/sshd.ts";
import { bash, run } from "./command.ts";
import { formatTime, ratioOf, takeTurns } from "./measure.ts";
import { makeMixedData } from "./mixed_data.ts";
import type { Benchmark } from "./mod.ts";
import { backUp, sshOfShell, sshWords, Storage } from "./storage.ts";

const shellLine = `${sshOfShell} mkdir "$2"; there "cat '$1'/*.tar.zst" | ` +
  'zstd --quiet -d | tar -xpf - -C "$2"';

/** Getting an archive back over SSH. */
export const restore: Benchmark = {
  name: "restore",
  summary: "restore a zstd archive over SSH, against ssh cat | zstd -d | tar -x",
  async run(workshop, report) {
    const data = await makeMixedData(workshop);
    await using sshd = await Sshd.start();
    const storage = new Storage(workshop.folder);
    await storage.empty();
    await backUp(data.folder, storage, sshd, workshop, "--compression", "zstd");
    const target = `${workshop.folder}/target`;
    const prepare = () => bash('rm -rf "$1"; sync', [target], workshop);
    const [from, ...flags] = sshd.destination(storage.folder);
    const command = ["restore", "latest", "--from", from, ...flags, "--target", target];
    const words = [...sshWords(sshd), storage.folder, target];
    const { plasma, shell } = await takeTurns(workshop, {
      plasma: { prepare, run: () => run([plasmaProgram, ...command], workshop) },
      shell: { prepare, run: () => bash(shellLine, words, workshop) },
    });
    report({
      what: `restore, ${(data.size / 2 ** 20).toFixed(0)} MiB`,
      plasma: formatTime(plasma),
      other: `shell ${formatTime(shell)}`,
      ratio: ratioOf(plasma, shell),
      goal: "1.15",
    });
  },
};
