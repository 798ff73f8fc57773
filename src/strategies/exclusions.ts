import { tidyPath } from "../config/values.ts";

/** Absolute patterns of `exclude`, for strategies that leave out whole subvolumes by path. */
export class PathPatterns {
  readonly #matchers: readonly { pattern: string; matcher: RegExp }[];
  readonly #used = new Set<string>();

  constructor(patterns: readonly string[]) {
    this.#matchers = patterns.filter((pattern) => pattern.startsWith("/"))
      .map((pattern) => ({
        pattern,
        matcher: new RegExp(`^${source(tidyPath(pattern))}(/|$)`, "s"),
      }));
  }

  /** Whether a path, or a folder above it, matches a pattern as `tar --exclude` would take it. */
  match(path: string): boolean {
    const found = this.#matchers.filter(({ matcher }) => matcher.test(path));
    for (const { pattern } of found) this.#used.add(pattern);
    return found.length > 0;
  }

  /** The patterns that have matched something so far. */
  get used(): ReadonlySet<string> {
    return this.#used;
  }
}

/** A pattern of fnmatch(3), in which wildcards match slashes too, as a regular expression. */
function source(pattern: string): string {
  return [...pattern.matchAll(/\\(.)|\[([!^]?)(\]?[^\]]*)\]|[^]/gs)].map(
    ([whole, escaped, not, set]) => {
      if (escaped !== undefined) return literal(escaped);
      if (set !== undefined) {
        return `[${not === "" ? "" : "^"}${set.replaceAll(/[\\\]^[]/g, "\\$&")}]`;
      }
      if (whole === "*") return ".*";
      return whole === "?" ? "." : literal(whole);
    },
  ).join("");
}

const literal = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
