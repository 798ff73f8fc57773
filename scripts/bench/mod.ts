/** A benchmark: one file in this folder and one row in the registry of ../bench.ts. */
export interface Benchmark {
  readonly name: string;
  readonly summary: string;
  /**
   * Measure, and give each figure to `report` as soon as it is known. All that it makes lies in
   * `workshop.folder`, or is disposed of with its scope.
   */
  run(workshop: Workshop, report: (figure: Figure) => void): Promise<void>;
}

/** What benchmarks work with. */
export interface Workshop {
  /** An empty folder on a disk. */
  readonly folder: string;
  /** Bytes that an archive is to have. */
  readonly size: number;
  /** How often each contestant runs, after one run to warm up. */
  readonly rounds: number;
  /** Aborted by Ctrl-C: children are killed, and everything is cleaned up. */
  readonly signal: AbortSignal;
  /** Say what is being done; not a result. */
  tell(line: string): void;
}

/** One line of the result. */
export interface Figure {
  readonly what: string;
  /** What was measured of plasma, with its unit. */
  readonly plasma: string;
  /** What it is compared with, and the same of that. */
  readonly other?: string;
  /** How many times as much plasma takes. */
  readonly ratio?: Ratio;
  /** What the figure should be. */
  readonly goal?: string;
}

/** The ratio of the medians, and the smallest and the largest ratio of one round. */
export interface Ratio {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}
