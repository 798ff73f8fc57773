import { unescapeName } from "../system/tar_names.ts";

/** A part of a pattern: any number of characters, with or without slashes, or one that fits. */
type Token = "*" | "**" | ((character: string) => boolean);

/**
 * A pattern of a shell, of which `*`, `?` and `[...]` take no slash, and `**` does. It may have escapes as
 * `tar --quoting-style=escape` prints them. However it and the names are made, a name takes no longer than
 * its length times that of the pattern.
 */
export class Glob {
  readonly #tokens: readonly Token[];

  constructor(pattern: string) {
    this.#tokens = tokensOf([...pattern]);
  }

  /** Whether an escaped name, or a folder above it, fits. */
  fits(escaped: string): boolean {
    const text = charactersOf(unescapeName(escaped));
    let states = this.#closure([0]);
    for (const [index, character] of text.entries()) {
      if (index > 0 && character === "/" && this.#isDone(states)) return true;
      states = this.#closure(states.flatMap((state) => this.#step(state, character)));
      if (states.length === 0) return false;
    }
    return this.#isDone(states);
  }

  #isDone(states: readonly number[]): boolean {
    return states.includes(this.#tokens.length);
  }

  /** Where one can be after a character. */
  #step(state: number, character: string): number[] {
    const token = this.#tokens[state];
    if (token === undefined) return [];
    if (token === "**") return [state];
    if (character === "/") return token !== "*" && token("/") ? [state + 1] : [];
    if (token === "*") return [state];
    return token(character) ? [state + 1] : [];
  }

  /** Stars may also stand for nothing. */
  #closure(states: readonly number[]): number[] {
    const found = new Set<number>();
    for (let state of states) {
      found.add(state);
      while (this.#tokens[state] === "*" || this.#tokens[state] === "**") found.add(++state);
    }
    return [...found];
  }
}

/** The characters of a name; what is not UTF-8 is one for each byte. */
function charactersOf(bytes: Uint8Array): string[] {
  try {
    return [...new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)];
  } catch {
    return [...bytes].map((byte) => String.fromCharCode(byte < 128 ? byte : 0xdc00 + byte));
  }
}

function tokensOf(pattern: readonly string[]): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < pattern.length) {
    const rest = pattern.slice(at);
    const [token, length] = escapeIn(rest) ?? starIn(rest) ?? setIn(rest) ?? literalIn(rest);
    tokens.push(...token);
    at += length;
  }
  return tokens;
}

/** Tokens, and how many characters of the pattern they take. */
type Parsed = readonly [tokens: readonly Token[], length: number];

const literals = (characters: readonly string[]): Token[] =>
  characters.map((one) => (character) => character === one);

const literalIn = ([first]: readonly string[]): Parsed => [literals([first!]), 1];

/** An escape of tar's, as many of them as make up a character, or of what has a meaning here. */
function escapeIn(rest: readonly string[]): Parsed | undefined {
  const text = rest.slice(0, 64).join("");
  const [escape] = /^(?:\\[0-7]{3})+|^\\[abfnrtv\\]/.exec(text) ?? [];
  if (escape !== undefined) return [literals(charactersOf(unescapeName(escape))), escape.length];
  return /^\\[*?[\]]/.test(text) ? [literals([rest[1]!]), 2] : undefined;
}

function starIn([first, second]: readonly string[]): Parsed | undefined {
  if (first === "?") return [[(character) => character !== "/"], 1];
  if (first !== "*") return undefined;
  return second === "*" ? [["**"], 2] : [["*"], 1];
}

/** A set that has no end is a bracket like any other character. */
function setIn(rest: readonly string[]): Parsed | undefined {
  if (rest[0] !== "[") return undefined;
  const isNegated = rest[1] === "!" || rest[1] === "^";
  const start = isNegated ? 2 : 1;
  const end = rest.indexOf("]", start + 1);
  if (end < 0) return undefined;
  const ranges = rangesIn(rest.slice(start, end));
  const isIn = (character: string) =>
    ranges.some(([low, high]) => low <= codeOf(character) && codeOf(character) <= high);
  return [[(character) => character !== "/" && isIn(character) !== isNegated], end + 1];
}

function rangesIn(set: readonly string[]): (readonly [low: number, high: number])[] {
  const ranges: (readonly [number, number])[] = [];
  for (let at = 0; at < set.length; at++) {
    const isRange = set[at + 1] === "-" && at + 2 < set.length;
    ranges.push([codeOf(set[at]!), codeOf(set[isRange ? at + 2 : at]!)]);
    if (isRange) at += 2;
  }
  return ranges;
}

const codeOf = (character: string) => character.codePointAt(0)!;
