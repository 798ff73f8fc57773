/**
 * Measures plasma against what a shell, or an empty program, needs for the same, in turns:
 * `scripts/deno task bench [--size 2G] [--rounds 5] [--folder DIR] [NAME...]`. Asserts nothing.
 */
// @ts-types="../src/types/parse_args.d.ts"
import { parseArgs } from "@std/cli";
import { parseSize } from "../src/config/values.ts";
import { btrfsSend } from "./bench/btrfs_send.ts";
import { btrfsSnapshot } from "./bench/btrfs_snapshot.ts";
import { compressedUpload } from "./bench/compressed_upload.ts";
import type { Benchmark, Figure, Workshop } from "./bench/mod.ts";
import { restore } from "./bench/restore.ts";
import { rotation } from "./bench/rotation.ts";
import { startup } from "./bench/startup.ts";
import { memory, upload, uploadToMemory } from "./bench/upload.ts";

/** The benchmarks: a new one is a file and a row here. */
const benchmarks: readonly Benchmark[] = [
  startup,
  rotation,
  upload,
  uploadToMemory,
  memory,
  compressedUpload,
  restore,
  btrfsSnapshot,
  btrfsSend,
];

const help = `usage: scripts/deno task bench [FLAGS] [NAME...]

${benchmarks.map(({ name, summary }) => `  ${name.padEnd(17)} ${summary}`).join("\n")}

  --size 2G     bytes that are archived
  --rounds 5    how often each contestant runs; the median counts
  --folder DIR  where to work: about four times the size; default: TMPDIR or /tmp
PLASMA_BIN names another plasma than scripts/plasma, for example a compiled one.`;

interface Wishes {
  readonly size: number;
  readonly rounds: number;
  readonly above: string | undefined;
  readonly chosen: readonly Benchmark[];
}

function readWishes(args: readonly string[]): Wishes | undefined {
  const { _: names, ...flags } = parseArgs(args, {
    boolean: ["help"],
    string: ["_", "size", "rounds", "folder"],
    alias: { h: "help" },
    unknown(argument, key) {
      if (key !== undefined) throw new Error(`unknown flag ${argument}\n${help}`);
      return true;
    },
  });
  if (flags.help === true) return undefined;
  const size = parseSize(String(flags.size ?? "2G"));
  const rounds = Number(flags.rounds ?? 5);
  if (size === undefined) throw new Error("--size: expected a size such as 512M");
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds: expected 1 or more");
  const chosen = benchmarks.filter(({ name }) => names.length === 0 || names.includes(name));
  const unknown = names.find((name) => !benchmarks.some((row) => row.name === name));
  if (unknown !== undefined) throw new Error(`there is no benchmark ${unknown}\n${help}`);
  return { size, rounds, chosen, above: flags.folder as string | undefined };
}

function describe({ what, plasma, other = "", ratio, goal }: Figure): string {
  const ratios = ratio === undefined ? "" : `${ratio.median.toFixed(2)} times ` +
    `(${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`;
  const wanted = goal === undefined ? "" : `goal ${goal}`;
  return [what.padEnd(36), plasma.padEnd(8), other.padEnd(28), ratios.padEnd(26), wanted]
    .join("  ").trimEnd();
}

/** Run benchmarks in a temporary folder that goes with them, also after a failure or a signal. */
async function measure({ size, rounds, above, chosen }: Wishes): Promise<void> {
  const interrupted = new AbortController();
  for (const [signal, number] of [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const) {
    Deno.addSignalListener(signal, () => {
      Deno.exitCode = 128 + number;
      interrupted.abort(new Error(`ended by ${signal}`));
    });
  }
  const options = { prefix: "plasma-bench-", ...(above === undefined ? {} : { dir: above }) };
  const folder = await Deno.makeTempDir(options);
  try {
    for (const benchmark of chosen) {
      const workshop: Workshop = {
        folder: `${folder}/${benchmark.name}`,
        size,
        rounds,
        signal: interrupted.signal,
        tell: (line) => console.error(line),
      };
      await Deno.mkdir(workshop.folder);
      workshop.tell(`${benchmark.name}: ${benchmark.summary}`);
      await benchmark.run(workshop, (figure) => console.log(describe(figure)));
      await Deno.remove(workshop.folder, { recursive: true });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    const wishes = readWishes(Deno.args);
    if (wishes === undefined) console.log(help);
    else await measure(wishes);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode ||= 1;
  }
  Deno.exit(); // signal listeners would keep it alive
}
