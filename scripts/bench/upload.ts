import { Sshd } from "../../tests/support/sshd.ts";
import { bash, run } from "./command.ts";
import { type Data, makeData } from "./data.ts";
import { formatTime, ratioOf, takeTurns } from "./measure.ts";
import { MemoryWatch } from "./memory.ts";
import type { Benchmark, Figure, Workshop } from "./mod.ts";
import { backUp, Storage } from "./storage.ts";

/** The same work in a shell: tar, SHA-256, ssh, and a file that is on the disk at the end. */
const shellLine = 'tar -cf - "$1" | tee >(openssl dgst -sha256 >"$2.sum") | ' +
  'ssh -o BatchMode=yes -o "Ciphers=^aes128-gcm@openssh.com" -i "$3" -o "UserKnownHostsFile=$4" ' +
  '-p "$5" "$6@127.0.0.1" "dd of=\'$2\' bs=1M iflag=fullblock conv=fsync status=none"';

/** Streaming a tar over SSH on loopback. */
export const upload: Benchmark = {
  name: "upload",
  summary: "stream a tar over SSH on loopback, against a shell pipeline",
  async run(workshop, report) {
    const data = await makeData(workshop);
    await measureTime("upload", data, workshop, report);
  },
};

/** The same without the noise of a disk at the receiving end. */
export const uploadToMemory: Benchmark = {
  name: "upload-memory",
  summary: "the same, with the storage on a tmpfs (root, memory for two archives)",
  async run(workshop, report) {
    const { available } = Deno.systemMemoryInfo();
    if (Deno.uid() !== 0 || available < workshop.size * 2.5) {
      workshop.tell("upload-memory: not measured: it needs root and memory for two archives");
      return;
    }
    const data = await makeData(workshop);
    const folder = `${workshop.folder}/memory`;
    await Deno.mkdir(folder);
    await run(["mount", "-t", "tmpfs", "plasma-bench", folder], workshop);
    try {
      await measureTime("upload to memory", data, { ...workshop, folder }, report);
    } finally {
      await run(["umount", "--lazy", folder], { signal: new AbortController().signal });
    }
  },
};

/** How much memory the two ends need meanwhile. */
export const memory: Benchmark = {
  name: "memory",
  summary: "peak memory (VmHWM) of the agent and of plasma serve during an upload",
  async run(workshop, report) {
    const data = await makeData(workshop);
    await using sshd = await Sshd.start();
    for (const part of [data.quarter, data]) {
      const storage = new Storage(workshop.folder);
      await storage.empty();
      using watch = new MemoryWatch([Deno.pid, sshd.pid], nameOfProcess);
      await backUp(part.folder, storage, sshd, workshop);
      for (const name of ["agent", "serve"]) {
        report({
          what: `peak memory of ${name}, ${(part.size / 2 ** 20).toFixed(0)} MiB`,
          plasma: `${(watch.peak(name) / 1e6).toFixed(0)} MB`,
          goal: "100 MB",
        });
      }
    }
  },
};

function nameOfProcess(words: readonly string[]): string | undefined {
  // sshd hands the command to the login's shell, and timeout(1) has it on its command line too.
  if (words[0] === "timeout" || words.includes("-c")) return undefined;
  if (words.includes("serve")) return "serve";
  return words.includes("backup") ? "agent" : undefined;
}

async function measureTime(
  what: string,
  data: Data,
  workshop: Workshop,
  report: (figure: Figure) => void,
): Promise<void> {
  await using sshd = await Sshd.start();
  const { identityFile, knownHostsFile, port, login } = sshd.settings;
  const storage = new Storage(workshop.folder);
  const file = `${workshop.folder}/shell.tar`;
  const prepare = async () => {
    await storage.empty();
    await bash('rm -f "$1"; sync', [file], workshop);
  };
  const shellWords = [data.folder, file, identityFile, knownHostsFile, String(port), login];
  const { plasma, shell } = await takeTurns(workshop, {
    plasma: { prepare, run: () => backUp(data.folder, storage, sshd, workshop) },
    shell: { prepare, run: () => bash(shellLine, shellWords, workshop) },
  });
  report({
    what: `${what}, ${(data.size / 2 ** 20).toFixed(0)} MiB`,
    plasma: formatTime(plasma),
    other: `shell ${formatTime(shell)}`,
    ratio: ratioOf(plasma, shell),
    goal: "1.15",
  });
}
