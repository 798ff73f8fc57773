import { tidyPath } from "../config/values.ts";

/** Absolute patterns of `exclude`, for strategies that leave out whole subvolumes by path. */
export class PathPatterns {
  readonly #matchers: readonly { pattern: string; tokens: readonly Token[] }[];
  readonly #used = new Set<string>();

  constructor(patterns: readonly string[]) {
    this.#matchers = patterns.filter((pattern) => pattern.startsWith("/"))
      .map((pattern) => ({ pattern, tokens: tokensOf(tidyPath(pattern)) }));
  }

  /** Whether a path, or a folder above it, matches a pattern as `tar --exclude` would take it. */
  match(path: string): boolean {
    const found = this.#matchers.filter(({ tokens }) => matches(tokens, path));
    for (const { pattern } of found) this.#used.add(pattern);
    return found.length > 0;
  }

  /** The patterns that have matched something so far. */
  get used(): ReadonlySet<string> {
    return this.#used;
  }
}

/** Any number of characters, or whether it is a given one. */
type Token = "*" | ((character: string) => boolean);

/** The parts of a pattern of fnmatch(3), in which wildcards match slashes too. */
function tokensOf(pattern: string): Token[] {
  return [...pattern.matchAll(/\\(.)|\[([!^]?)(\]?[^\]]*)\]|[^]/gs)].map(
    ([whole, escaped, not, set]): Token => {
      if (escaped !== undefined) return (character) => character === escaped;
      if (set !== undefined) {
        const source = set.replaceAll(/[\\\]^[]/g, "\\$&");
        const matcher = new RegExp(`^[${not === "" ? "" : "^"}${source}]$`);
        return (character) => matcher.test(character);
      }
      if (whole === "*") return "*";
      return whole === "?" ? () => true : (character) => character === whole;
    },
  );
}

/**
 * Whether the beginning of a path, up to a slash or its end, matches. When something does not, only the
 * last star takes one more: nobody can make a path that takes long.
 */
function matches(tokens: readonly Token[], path: string): boolean {
  let [token, at] = [0, 0];
  let star: { token: number; at: number } | undefined;
  for (;;) {
    const current = tokens[token];
    if (current === "*") {
      star = { token, at };
      token++;
    } else if (current === undefined && (at === path.length || path[at] === "/")) {
      return true;
    } else if (current !== undefined && at < path.length && current(path[at]!)) {
      token++;
      at++;
    } else {
      if (star === undefined || star.at === path.length) return false;
      star.at++;
      [token, at] = [star.token + 1, star.at];
    }
  }
}
