import { namesIn } from "./folders.ts";
import type { Site } from "./site.ts";
import { until } from "./sh.ts";

/** A point at which runs of a site stop until it is opened. */
export class Gate {
  readonly #folder: string;

  constructor(site: Site) {
    this.#folder = site.makeFolder(`gates/${crypto.randomUUID()}`);
  }

  /** The line of sh(1) that stops at the gate. */
  get line(): string {
    return `: >"${this.#folder}/$$"; while ! [ -e "${this.#folder}/open" ]; do sleep 0.02; done`;
  }

  /** A gate before, or after, what a program does when its arguments match a pattern of sh(1). */
  static at(site: Site, when: "before" | "after", program: string, pattern: string): Gate {
    const gate = new Gate(site);
    const script = when === "before"
      ? `case "$*" in ${pattern}) ${gate.line} ;; esac; exec "$real" "$@"`
      : `case "$*" in ${pattern}) "$real" "$@"; status=$?; ${gate.line}; exit $status ;; esac\n` +
        'exec "$real" "$@"';
    site.fake(program, script);
    return gate;
  }

  async reached(): Promise<void> {
    await until(`a run stops at the gate`, () => namesIn(this.#folder).length > 0);
  }

  open(): void {
    Deno.writeTextFileSync(`${this.#folder}/open`, "");
  }
}
