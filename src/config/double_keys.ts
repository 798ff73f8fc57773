/** A key that stands twice in one object: JSON's parsers take the last one and say nothing. */
export interface DoubleKey {
  /** From the root, joined by dots. */
  readonly path: string;
  /** Where in the text the two are. */
  readonly offsets: readonly [first: number, second: number];
}

/** An object or a list that has been opened and not closed. */
interface Level {
  readonly path: string;
  /** Undefined for a list. */
  readonly keys: Map<string, number> | undefined;
  /** The last key, whose value follows. */
  key: string;
}

/** What matters in JSON with comments: texts, comments to be passed over, and punctuation. */
const tokens = /"(?:[^"\\]|\\.)*"|\/\/[^\n\r]*|\/\*[^]*?\*\/|[{}[\],:]/g;

/**
 * The keys that stand twice in an object.
 *
 * @param text valid JSON, with comments and trailing commas
 */
export function doubleKeys(text: string): DoubleKey[] {
  const found: DoubleKey[] = [];
  const levels: Level[] = [];
  const matches = [...text.matchAll(tokens)].filter(([token]) => !token.startsWith("/"));
  for (const [index, { 0: token, index: offset }] of matches.entries()) {
    const level = levels.at(-1);
    if (token === "{" || token === "[") {
      levels.push({ path: pathIn(level), keys: token === "{" ? new Map() : undefined, key: "" });
    } else if (token === "}" || token === "]") {
      levels.pop();
    } else if (token.startsWith('"') && level?.keys !== undefined && isKey(matches[index + 1])) {
      level.key = JSON.parse(token);
      const first = level.keys.get(level.key);
      if (first === undefined) level.keys.set(level.key, offset);
      else found.push({ path: pathIn(level), offsets: [first, offset] });
    }
  }
  return found;
}

const isKey = (next: RegExpExecArray | undefined) => next?.[0] === ":";

/** The path of what follows in an object or a list. */
function pathIn(level: Level | undefined): string {
  if (level === undefined) return "";
  return [level.path, level.key].filter((part) => part !== "").join(".");
}
