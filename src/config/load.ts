// @ts-types="../types/jsonc.d.ts"
import { parse } from "@std/jsonc";
// @ts-types="../types/text.d.ts"
import { closestString, levenshteinDistance } from "@std/text";
import * as v from "valibot";
import { errorCode, PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { doubleKeys } from "./double_keys.ts";

/** Every fault of a config file, each in one line with file, key path and what was expected. */
export class ConfigError extends PlasmaError {
  override readonly name = "ConfigError";

  constructor(readonly file: string, readonly faults: readonly string[]) {
    const more = faults.length > 1 ? ` (and ${faults.length - 1} more, see above)` : "";
    super("config", `${file}: ${faults[0]}${more}`, {
      status: ExitStatus.Usage,
      code: "config",
      remedy: "nothing was run",
    });
  }
}

/** No config file may be larger than this many bytes. */
export const maximumConfigSize = 1 << 20;

/**
 * Read a JSON file with comments and trailing commas and check it against a schema.
 *
 * @throws {ConfigError} all faults at once, if the file cannot be parsed or does not fit the schema
 * @throws {UsageError} if the file cannot be read
 */
export async function loadConfig<T>(
  file: string,
  schema: v.GenericSchema<unknown, T>,
): Promise<T> {
  return parseConfig(file, await readBytes(file), schema);
}

/** As {@link loadConfig}, from the bytes of a file; `file` is only for the messages. */
export function parseConfig<T>(
  file: string,
  bytes: Uint8Array,
  schema: v.GenericSchema<unknown, T>,
): T {
  const text = decode(file, bytes);
  const value = parseJsonc(file, text);
  const doubles = doubleKeys(text).map(({ path, offsets: [first, second] }) =>
    `${position(text, second)}: ${path} is there for the second time, after ${
      position(text, first)
    }`
  );
  return checkConfig(file, value, schema, doubles);
}

/**
 * As {@link loadConfig}, from a value that was put together elsewhere.
 *
 * @param known faults that were found before
 */
export function checkConfig<T>(
  file: string,
  value: unknown,
  schema: v.GenericSchema<unknown, T>,
  known: readonly string[] = [],
): T {
  const result = v.safeParse(schema, value);
  const { unknown, lists } = strangeKeys(schema, value, "");
  const isInList = (issue: v.BaseIssue<unknown>) =>
    lists.some(({ path }) => path === "" || `${v.getDotPath(issue) ?? ""}.`.startsWith(`${path}.`));
  const faults = [
    ...known,
    ...unknown,
    ...lists.map(({ fault }) => fault),
    ...(result.issues ?? []).filter((issue) => !isInList(issue)).map(describeIssue),
  ];
  if (faults.length > 0 || !result.success) throw new ConfigError(file, faults);
  return result.output;
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    const { isFile, size } = await Deno.stat(file);
    if (!isFile) throw new UsageError("config", `${file} is not a regular file`);
    if (size > maximumConfigSize) {
      throw new UsageError("config", `${file} has ${size} bytes, which is too large for a config`);
    }
    return await Deno.readFile(file);
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    const remedy = errorCode(error) === "EACCES" ? "run as a user who may read it" : undefined;
    throw new UsageError("config", `cannot read ${file}: ${reasonOf(error)}`, remedy);
  }
}

function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // The start of a character that is cut off belongs to what is not valid.
    const sound = new TextDecoder().decode(bytes.subarray(0, validLength(bytes)), { stream: true });
    throw new ConfigError(file, [`${position(sound, sound.length)}: not valid UTF-8`]);
  }
}

/** How many bytes are valid UTF-8 before the first ones that are not. */
function validLength(bytes: Uint8Array): number {
  const isValid = (length: number) => {
    try {
      // As a part of a stream: a character may be cut at the end.
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let [good, bad] = [0, bytes.length + 1];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (isValid(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

function parseJsonc(file: string, text: string): unknown {
  if (text.trim() === "") throw new ConfigError(file, ["line 1, column 1: the file is empty"]);
  const nul = text.indexOf("\0");
  if (nul >= 0) throw new ConfigError(file, [`${position(text, nul)}: a NUL character`]);
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const offset = /at position (\d+)/.exec(error.message)?.[1];
    const where = position(text, offset === undefined ? text.length : Number(offset));
    throw new ConfigError(file, [`${where}: ${describeSyntax(error.message)}`]);
  }
}

function describeSyntax(message: string): string {
  const token = /unexpected token "([^]*)" in JSONC/i.exec(message)?.[1];
  if (token === undefined) return "unexpected end of the file";
  if (token.startsWith('"')) return "a text that is not well-formed, or does not end on its line";
  // What is longer may be a piece of a command, with a password in it.
  return /^(?:[\w.-]{1,20}|.)$/su.test(token)
    ? `unexpected ${JSON.stringify(token)}`
    : "unexpected characters";
}

function position(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`;
}

/** What valibot takes for an object although it is none, or does not look at. */
interface StrangeKeys {
  /** The keys that no schema knows, each with the nearest known one. */
  readonly unknown: readonly string[];
  /** Lists where an object should be: to valibot they are objects without the keys. */
  readonly lists: readonly { path: string; fault: string }[];
}

function strangeKeys(schema: unknown, value: unknown, path: string): StrangeKeys {
  const entries = entriesOf(schema);
  if (entries === undefined || typeof value !== "object" || value === null) {
    return { unknown: [], lists: [] };
  }
  if (Array.isArray(value)) {
    const where = path === "" ? "" : `${path}: `;
    const fault = `${where}expected an object { ... }, got ${shorten(value)}`;
    return { unknown: [], lists: [{ path, fault }] };
  }
  const found = Object.entries(value).map(([key, inner]): StrangeKeys => {
    const here = path === "" ? key : `${path}.${key}`;
    if (Object.hasOwn(entries, key)) return strangeKeys(entries[key], inner, here);
    return { unknown: [`${here}: unknown key; ${hintFor(key, Object.keys(entries))}`], lists: [] };
  });
  return {
    unknown: found.flatMap(({ unknown }) => unknown),
    lists: found.flatMap(({ lists }) => lists),
  };
}

function hintFor(key: string, names: readonly string[]): string {
  const nearest = names.find((name) => isNear(key, name)) ?? closestString(key, names);
  return isNear(key, nearest) ? `did you mean "${nearest}"?` : `known here: ${names.join(", ")}`;
}

/** Look through optional() and union() at the entries of the object schema inside. */
function entriesOf(schema: unknown): Record<string, v.GenericSchema> | undefined {
  if (typeof schema !== "object" || schema === null) return undefined;
  if ("entries" in schema) return schema.entries as Record<string, v.GenericSchema>;
  if ("wrapped" in schema) return entriesOf(schema.wrapped);
  if ("options" in schema && Array.isArray(schema.options)) {
    const variants = schema.options.map(entriesOf).filter((entries) => entries !== undefined);
    return variants.length === 0 ? undefined : Object.assign({}, ...variants);
  }
  if ("pipe" in schema && Array.isArray(schema.pipe)) {
    const [inner] = schema.pipe;
    return inner === schema ? undefined : entriesOf(inner);
  }
  return undefined;
}

/** True if one word could be a misspelling of the other. */
export function isNear(word: string, candidate: string): boolean {
  const [a, b] = [word.toLowerCase(), candidate.toLowerCase()];
  if (a === b || (a.length > 2 && (b.startsWith(a) || a.startsWith(b)))) return true;
  const limit = Math.max(1, Math.floor(Math.min(a.length, b.length) / 3));
  return levenshteinDistance(a, b) <= limit || isTransposed(a, b);
}

/** True if two neighbouring letters have changed places: the commonest slip, two edits apart. */
function isTransposed(a: string, b: string): boolean {
  const at = [...a].findIndex((letter, index) => letter !== b[index]);
  return a.length === b.length && a.slice(0, at) + a[at + 1] + a[at] + a.slice(at + 2) === b;
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  // A rule about several keys names them itself.
  if (path === null && issue.type === "check") return `expected ${issue.message}`;
  const where = path === null ? "" : `${path}: `;
  if (issue.received === "undefined") return `${where}missing`;
  return `${where}expected ${expectedOf(issue)}, got ${describeInput(path, issue.input)}`;
}

/** Commands may hold passwords: of what stands in their place only the type is told. */
function describeInput(path: string | null, input: unknown): string {
  const mayBeSecret = path?.startsWith("execute") === true && input !== null && input !== "";
  if (!mayBeSecret) return shorten(input);
  return Array.isArray(input) ? "a list" : typeof input === "object" ? "an object" : typeof input;
}

/** Schemas carry "expected ..." as their message; valibot's own types are named as they are. */
function expectedOf(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  switch (issue.expected) {
    case "Object":
      return "an object { ... }";
    case "Array":
      return "a list [ ... ]";
    default:
      return issue.expected ?? "another value";
  }
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
