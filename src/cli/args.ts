// @ts-types="../types/parse_args.d.ts"
import { parseArgs } from "@std/cli";
import { isNear } from "../config/load.ts";
import { UsageError } from "../errors.ts";
import type { LogOptions } from "../system/log.ts";

/** The flags that a command knows. */
export interface FlagSpec {
  /** Flags without a value. */
  readonly switches?: readonly string[];
  /** Flags with a value. */
  readonly values?: readonly string[];
  /** Flags with a value that may be given several times. */
  readonly lists?: readonly string[];
}

/** A parsed command line. */
export interface Arguments {
  readonly positional: readonly string[];
  readonly log: LogOptions;
  /** True if a flag without a value was given. */
  has(flag: string): boolean;
  /** The value of a flag, if it was given. */
  value(flag: string): string | undefined;
  list(flag: string): readonly string[];
}

/** What every command knows. */
const commonSwitches = ["quiet", "verbose", "no-color", "help", "json"] as const;

/**
 * Parse the command line of a command, its name excepted.
 *
 * @throws {UsageError} for a flag that the command does not know, with the nearest one that it knows,
 * and for a missing or a superfluous value
 */
export function parseCommandLine(
  command: string,
  args: readonly string[],
  { switches = [], values = [], lists = [] }: FlagSpec,
): Arguments {
  const allSwitches = [...commonSwitches, ...switches];
  const allValues = [...values, ...lists];
  const remedy = `see plasma help ${command}`;
  const words = joinValues(args, allSwitches, allValues, remedy);
  requireOnce(words, values, remedy);
  const parsed = parseArgs(words, {
    boolean: allSwitches,
    string: ["_", ...allValues],
    collect: lists,
    unknown(argument, key) {
      if (key === undefined) return true;
      const near = [...allSwitches, ...allValues].find((name) => isNear(key, name));
      const hint = near === undefined ? "" : `, did you mean --${near}?`;
      throw new UsageError("command line", `unknown flag ${argument}${hint}`, remedy);
    },
  });
  const has = (flag: string) => parsed[flag] === true;
  return {
    positional: parsed._.map(String),
    log: { quiet: has("quiet"), verbose: has("verbose"), color: !has("no-color") },
    has,
    value(flag) {
      const value = parsed[flag];
      return typeof value === "string" ? value : undefined;
    },
    list(flag) {
      const value = parsed[flag];
      return Array.isArray(value) ? value.map(String) : [];
    },
  };
}

/** Of two values of one flag the first would be dropped without a word. */
function requireOnce(words: readonly string[], values: readonly string[], remedy: string): void {
  const end = words.indexOf("--");
  const given = words.slice(0, end < 0 ? undefined : end).flatMap((word) =>
    /^--([a-z][a-z-]*)=/.exec(word)?.[1] ?? []
  ).filter((flag) => values.includes(flag));
  const double = given.find((flag, index) => given.indexOf(flag) !== index);
  if (double === undefined) return;
  throw new UsageError("command line", `--${double} is given twice`, remedy);
}

const shortFlags: Readonly<Record<string, string>> = { q: "quiet", v: "verbose", h: "help" };

/** "-qv" as its long flags; other words as they are. */
function longFlags(word: string): string[] {
  const letters = /^-([a-z]+)$/.exec(word)?.[1]?.split("") ?? [];
  const isKnown = letters.length > 0 && letters.every((letter) => letter in shortFlags);
  return isKnown ? letters.map((letter) => `--${shortFlags[letter]}=true`) : [word];
}

/**
 * Write the value of each flag into the same word ("--to=DEST"): a value may be "-" or begin with a
 * dash, and what comes after "--" is no flag.
 */
function joinValues(
  args: readonly string[],
  switches: readonly string[],
  values: readonly string[],
  remedy: string,
): string[] {
  const words: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!;
    if (word === "--") return [...words, ...args.slice(index)];
    const [, flag, value] = /^--([a-z][a-z-]*)(=.*)?$/s.exec(word) ?? [];
    if (flag !== undefined && value !== undefined && switches.includes(flag)) {
      throw new UsageError("command line", `--${flag} takes no value`, remedy);
    }
    if (switches.includes(flag ?? "")) {
      // Or else parseArgs would take a folder named "true" for its value.
      // "--no-color=true" would be the negation of another flag to it.
      words.push(word.startsWith("--no-") ? word : `${word}=true`);
      continue;
    }
    if (flag === undefined || value !== undefined || !values.includes(flag)) {
      words.push(...longFlags(word));
      continue;
    }
    const next = args[++index];
    // "-" alone stands for standard output; another value with a dash needs "--flag=-value".
    if (next === undefined || (next.startsWith("-") && next !== "-")) {
      throw new UsageError("command line", `--${flag} needs a value`, remedy);
    }
    words.push(`${word}=${next}`);
  }
  return words;
}
