import { withoutMiddle } from "./printable.ts";

/**
 * Under which name a line is only counted where there are too many of them; undefined for one that must
 * be seen.
 */
export type Sorter = (line: string) => string | undefined;

/**
 * The lines of a child's standard error, whatever it writes: the first ones and the last ones, of those
 * between them the first that must be seen, and the numbers of all others. Each is judged as it comes.
 */
export class Messages {
  static readonly #kept = 100;
  static readonly #lineLength = 2000;
  /** More than tar says of the longest name. */
  static readonly #longestRest = 256 << 10;
  readonly #decoder = new TextDecoder();
  readonly #first: string[] = [];
  readonly #seen: string[] = [];
  readonly #last: string[] = [];
  #rest = "";
  #dropped = 0;
  readonly #counts = new Map<string, number>();

  constructor(readonly sort: Sorter = () => undefined) {}

  add(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = withoutMiddle(lines.pop()!, Messages.#longestRest);
    for (const line of lines) this.#push(line.trimEnd());
  }

  #push(line: string): void {
    if (line === "") return;
    const short = withoutMiddle(line, Messages.#lineLength);
    if (this.#first.length < Messages.#kept) {
      this.#first.push(short);
      return;
    }
    this.#last.push(short);
    if (this.#last.length > Messages.#kept) this.#drop(this.#last.shift()!);
  }

  #drop(line: string): void {
    const name = this.sort(line);
    if (name !== undefined) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    else if (this.#seen.length < Messages.#kept) this.#seen.push(line);
    else this.#dropped++;
  }

  /** All lines that were kept, oldest first. */
  get lines(): string[] {
    const gap = [
      ...(this.#dropped === 0 ? [] : [`... ${this.#dropped} more lines ...`]),
      ...[...this.#counts].map(([name, count]) => `... ${count} more lines: ${name} ...`),
    ];
    const rest = this.#rest === "" ? [] : [withoutMiddle(this.#rest, Messages.#lineLength)];
    return [...this.#first, ...this.#seen, ...gap, ...this.#last, ...rest];
  }

  /** The last few lines as one, for an error message; empty if nothing was said. */
  get tail(): string {
    return this.lines.slice(-3).join(" / ");
  }
}
