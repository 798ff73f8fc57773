import { Sshd } from "../../tests/support/sshd.ts";
import { bash } from "./command.ts";
import { formatTime, ratioOf, takeTurns } from "./measure.ts";
import { makeMixedData } from "./mixed_data.ts";
import type { Benchmark } from "./mod.ts";
import { backUp, sshOfShell, sshWords, Storage } from "./storage.ts";

const shellLine = `${sshOfShell} tar -cf - "$1" | zstd --quiet -T0 | ` +
  "there \"dd of='$2' bs=1M iflag=fullblock conv=fsync status=none\"";

/** Streaming a tar that is compressed on its way. */
export const compressedUpload: Benchmark = {
  name: "compressed-upload",
  summary: "stream mixed data with zstd over SSH, against tar | zstd -T0 | ssh dd",
  async run(workshop, report) {
    const data = await makeMixedData(workshop);
    await using sshd = await Sshd.start();
    const storage = new Storage(workshop.folder);
    const file = `${workshop.folder}/shell.tar.zst`;
    const prepare = async () => {
      await storage.empty();
      await bash('rm -f "$1"; sync', [file], workshop);
    };
    const words = [...sshWords(sshd), data.folder, file];
    const { plasma, shell } = await takeTurns(workshop, {
      plasma: {
        prepare,
        run: () => backUp(data.folder, storage, sshd, workshop, "--compression", "zstd"),
      },
      shell: { prepare, run: () => bash(shellLine, words, workshop) },
    });
    report({
      what: `zstd upload, ${(data.size / 2 ** 20).toFixed(0)} MiB`,
      plasma: formatTime(plasma),
      other: `shell ${formatTime(shell)}`,
      ratio: ratioOf(plasma, shell),
      goal: "1.1",
    });
  },
};
