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
  const flagsEnd = args.indexOf("--");
  const flags = flagsEnd < 0 ? args : args.slice(0, flagsEnd);
  for (const [index, arg] of flags.entries()) {
    const flag = /^--([a-z][a-z-]*)(=.*)?$/s.exec(arg);
    if (flag === null || isValueOf(flags[index - 1], allValues)) continue;
    if (flag[2] !== undefined && allSwitches.includes(flag[1]!)) {
      throw new UsageError("command line", `--${flag[1]} takes no value`, remedy);
    }
    const next = args[index + 1];
    if (
      flag[2] === undefined && allValues.includes(flag[1]!) &&
      (next === undefined || next.startsWith("--"))
    ) {
      throw new UsageError("command line", `--${flag[1]} needs a value`, remedy);
    }
  }
  const parsed = parseArgs(args, {
    boolean: allSwitches,
    string: ["_", ...allValues],
    collect: lists,
    alias: { q: "quiet", v: "verbose", h: "help" },
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

/** True if the word before is a flag that takes this one for its value. */
function isValueOf(before: string | undefined, values: readonly string[]): boolean {
  return before !== undefined && before.startsWith("--") && values.includes(before.slice(2));
}
