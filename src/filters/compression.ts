import { withMemoryLimit } from "../system/limited.ts";
import { type Stage, strictStage } from "../system/pipeline.ts";
import { findTool, requireTool } from "../system/tools.ts";
import type { Filter } from "./mod.ts";

/** A compression: a new one is a row in `compressions`. */
interface Compression {
  readonly suffix: string;
  readonly levels: { readonly least: number; readonly most: number };
  /** With which arguments all of them decompress, beside the usual ones. */
  readonly decompress?: readonly string[];
  /** Programs that can do it, the best first; with which arguments each compresses. */
  readonly programs: Readonly<Record<string, (level: number | undefined) => string[]>>;
}

const level = (level: number | undefined) => level === undefined ? [] : [`-${level}`];

/** With more cores than this zstd waits for ssh anyway. */
const fewCores = 8;

/**
 * At its default level zstd compresses in jobs of 8 MiB (zstd(1), -B). Twice that takes a tenth less
 * time (measured), and 25 MB more memory for each core.
 */
function zstdJobs(level: number | undefined): string[] {
  return level === undefined && navigator.hardwareConcurrency <= fewCores ? ["-B16M"] : [];
}

/** All of them compress on all cores, where the program can. */
export const compressions = {
  gzip: {
    suffix: ".gz",
    levels: { least: 1, most: 9 },
    programs: {
      pigz: (number) => ["--stdout", "--no-name", ...level(number)],
      gzip: (number) => ["--stdout", "--no-name", ...level(number)],
    },
  },
  zstd: {
    suffix: ".zst",
    levels: { least: 1, most: 22 },
    programs: {
      zstd: (number) => [
        "--stdout",
        "--quiet",
        "-T0",
        ...zstdJobs(number),
        ...((number ?? 0) > 19 ? ["--ultra"] : []),
        ...level(number),
      ],
    },
  },
  xz: {
    suffix: ".xz",
    levels: { least: 0, most: 9 },
    // What it wrote itself takes 65 MiB at most; zstd has such a limit of its own, 128 MiB.
    decompress: ["--memlimit-decompress=256MiB"],
    programs: { xz: (number) => ["--stdout", "--quiet", "-T0", ...level(number)] },
  },
} as const satisfies Record<string, Compression>;

export type CompressionType = keyof typeof compressions;

/** How archives are compressed, as in the config. */
export interface CompressionSettings {
  readonly type: "none" | CompressionType;
  /** By default the program's own. */
  readonly level?: number | undefined;
}

/** The filter for compressed archives; undefined for plain ones. */
export async function compressionFilter(
  { type, level }: CompressionSettings,
): Promise<Filter | undefined> {
  if (type === "none") return undefined;
  const { suffix, programs }: Compression = compressions[type];
  const program = await firstInstalled(Object.keys(programs));
  const command = { program, args: programs[program]!(level) };
  return { suffix, encoder: strictStage(command, "compression") };
}

/** Address space of a program that decompresses: several threads, each with its own heap. */
const decompressionMegabytes = 1024;

/**
 * The program that decompresses an archive of the given kind, within limits; undefined if it is not
 * compressed.
 */
export async function decompressor(kind: string): Promise<Stage | undefined> {
  const rows: Compression[] = Object.values(compressions);
  const row = rows.find(({ suffix }) => kind.replace(/\.age$/, "").endsWith(suffix));
  if (row === undefined) return undefined;
  const program = await firstInstalled(Object.keys(row.programs));
  const args = ["--decompress", "--stdout", "--quiet", ...row.decompress ?? []];
  return withMemoryLimit(strictStage({ program, args }, "decompression"), decompressionMegabytes);
}

/** The first program that is installed; throws for the last one if none is. */
async function firstInstalled(programs: readonly string[]): Promise<string> {
  for (const program of programs) {
    if (await findTool(program) !== undefined) return program;
  }
  const last = programs.at(-1)!;
  await requireTool(last);
  return last;
}
