import { withoutMiddle } from "./printable.ts";

/** The lines of a child's standard error: the first ones and the last ones, whatever it writes. */
export class Messages {
  static readonly #kept = 100;
  static readonly #lineLength = 2000;
  /** More than tar says of the longest name. */
  static readonly #longestRest = 256 << 10;
  readonly #decoder = new TextDecoder();
  readonly #first: string[] = [];
  readonly #last: string[] = [];
  #rest = "";
  #dropped = 0;
  #droppedAllowed = 0;

  constructor(readonly mayDrop: (line: string) => boolean = () => false) {}

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
    if (this.#last.length > Messages.#kept) {
      if (this.mayDrop(this.#last.shift()!)) this.#droppedAllowed++;
      else this.#dropped++;
    }
  }

  /** All lines that were kept, oldest first. */
  get lines(): string[] {
    const gap = [
      ...(this.#dropped === 0 ? [] : [`... ${this.#dropped} more lines ...`]),
      ...(this.#droppedAllowed === 0 ? [] : [`... ${this.#droppedAllowed} more like these ...`]),
    ];
    const rest = this.#rest === "" ? [] : [withoutMiddle(this.#rest, Messages.#lineLength)];
    return [...this.#first, ...gap, ...this.#last, ...rest];
  }

  /** The last few lines as one, for an error message; empty if nothing was said. */
  get tail(): string {
    return this.lines.slice(-3).join(" / ");
  }
}
