// @ts-types="../types/bytes.d.ts"
import { format } from "@std/fmt/bytes";
import type { Log } from "./log.ts";

/** "1.5 GiB" */
export function formatBytes(bytes: number): string {
  return format(bytes, { binary: true });
}

/** "4.2 s", "3 min 5 s", "2 h 10 min" */
export function formatSeconds(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** "45 min", "5 h", "3 d" */
export function formatAge(seconds: number): string {
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 3 * 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Where nobody watches a terminal, a line of progress every so many seconds. */
const plainIntervalSeconds = 300;

/** Tells how far a transfer is: bytes, rate, time, and percent where the size can be guessed. */
export class Progress {
  readonly #start = performance.now();
  #lastPlain = 0;

  constructor(
    readonly log: Log,
    readonly what: string,
    readonly expectedBytes: number | undefined,
  ) {}

  update(bytes: number): void {
    const seconds = (performance.now() - this.#start) / 1000;
    if (this.log.isTerminal) {
      this.log.progress(this.#line(bytes, seconds));
    } else if (seconds - this.#lastPlain >= plainIntervalSeconds) {
      this.#lastPlain = seconds;
      this.log.info(this.#line(bytes, seconds));
    }
  }

  #line(bytes: number, seconds: number): string {
    const rate = formatBytes(bytes / Math.max(seconds, 0.001));
    const guess = this.expectedBytes;
    // The guess is the previous archive; close to it and beyond it says nothing any more.
    const percent = guess !== undefined && guess > 0 && bytes < guess * 0.99
      ? `, about ${Math.floor((bytes / guess) * 100)} %`
      : "";
    return `${this.what}: ${formatBytes(bytes)} in ${formatSeconds(seconds)} (${rate}/s${percent})`;
  }
}
