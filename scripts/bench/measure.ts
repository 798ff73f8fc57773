import type { Ratio, Workshop } from "./mod.ts";

/** Something whose time is measured. */
export interface Contestant {
  /** Not measured: puts everything into the state of before. */
  prepare?(): Promise<void>;
  run(): Promise<void>;
}

/** The seconds that something took, one number a round. */
export type Seconds = readonly number[];

/**
 * Measure contestants in turns, so that what else the machine does hits all of them alike; every
 * other round in reverse. The first round warms up and does not count.
 */
export async function takeTurns<Name extends string>(
  { rounds, signal }: Pick<Workshop, "rounds" | "signal">,
  contestants: Readonly<Record<Name, Contestant>>,
): Promise<Record<Name, Seconds>> {
  const names = Object.keys(contestants) as Name[];
  const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      signal.throwIfAborted();
      await contestants[name].prepare?.();
      const start = performance.now();
      await contestants[name].run();
      const taken = (performance.now() - start) / 1000;
      if (round > 0) seconds[name]!.push(taken);
    }
  }
  return seconds as unknown as Record<Name, Seconds>;
}

/** The middle of the values. */
export function median(values: Seconds): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How many times as long `plasma` took as `other`. */
export function ratioOf(plasma: Seconds, other: Seconds): Ratio {
  const each = plasma.map((value, round) => value / other[round]!);
  return {
    median: median(plasma) / median(other),
    least: Math.min(...each),
    most: Math.max(...each),
  };
}

/** The median as text: "4.21 s", "58 ms". */
export function formatTime(seconds: Seconds): string {
  const value = median(seconds);
  return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(2)} s`;
}
