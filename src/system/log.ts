// @ts-types="../types/colors.d.ts"
import { bold, green, red, setColorEnabled, yellow } from "@std/fmt/colors";
import { environmentVariable } from "./environment.ts";
import { printable } from "./printable.ts";

/** How much is said. */
export interface LogOptions {
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly color?: boolean;
}

/**
 * What is said to people, on standard error: plain lines that read well in the journal, and on a
 * terminal a line of progress that is written over. Whatever words of others a line holds, it stays
 * one line, and they do nothing to the terminal.
 */
export class Log {
  readonly #quiet: boolean;
  readonly #verbose: boolean;
  readonly #terminal = Deno.stderr.isTerminal();
  #progress = "";

  constructor({ quiet = false, verbose = false, color = true }: LogOptions = {}) {
    this.#quiet = quiet;
    this.#verbose = verbose;
    setColorEnabled(color && this.#terminal && !environmentVariable("NO_COLOR"));
  }

  get isTerminal(): boolean {
    return this.#terminal;
  }

  /** What is being done; not with --quiet. */
  info(line: string): void {
    if (!this.#quiet) this.#print(printable(line));
  }

  /** Details that help to find a fault; only with --verbose. */
  detail(line: string): void {
    if (this.#verbose) this.#print(printable(line));
  }

  success(line: string): void {
    if (!this.#quiet) this.#print(green(printable(line)));
  }

  warning(line: string): void {
    this.#print(`${yellow(bold("warning:"))} ${printable(line)}`);
  }

  error(line: string): void {
    this.#print(`${red(bold("plasma:"))} ${printable(line)}`);
  }

  /** Show how far the work is: in place on a terminal; elsewhere only every so often. */
  progress(line: string): void {
    if (this.#quiet || !this.#terminal) return;
    this.#write(`\r\x1b[K${printable(line)}`);
    this.#progress = line;
  }

  #print(text: string): void {
    const clear = this.#progress === "" ? "" : "\r\x1b[K";
    this.#progress = "";
    this.#write(`${clear}${text}\n`);
  }

  #write(text: string): void {
    try {
      const bytes = new TextEncoder().encode(text);
      let offset = 0;
      while (offset < bytes.length) offset += Deno.stderr.writeSync(bytes.subarray(offset));
    } catch {
      // Nobody reads: a backup goes on without its audience.
    }
  }
}
