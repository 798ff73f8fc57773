import { PlasmaError, UsageError } from "../errors.ts";
import { escapeName, unescapeName } from "../system/tar_names.ts";
import { listStage } from "./extract.ts";
import { Glob } from "./glob.ts";
import { type Reading, readInto } from "./read_into.ts";

/**
 * Paths as archives name them: "/etc//./ssl/" is "etc/ssl"; with "/" among them it is everything, and
 * the list is empty.
 *
 * @throws {UsageError} for a path with ".."
 */
export function memberNames(paths: readonly string[]): string[] {
  const names = paths.map((path) => {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (!parts.includes("..")) return parts.join("/");
    throw new UsageError("restore", `${JSON.stringify(path)} has ".." in it`, "write it without");
  });
  return names.includes("") ? [] : names;
}

/**
 * The members that are meant by paths as people write them, and as they are shown: by their own names,
 * escaped as `--dry-run` lists them (`\303\244`), or as patterns of a shell, of which `*` takes no slash
 * and `**` does. Where one of these could be meant the archive is read once more to find out.
 *
 * @param names see {@link memberNames}
 * @throws {PlasmaError} if nothing in the archive is called so
 */
export async function findMembers(reading: Reading, names: readonly string[]): Promise<string[]> {
  if (!names.some(isStrange)) return [...names];
  reading.log.info("reading the archive for what these paths mean in it");
  const finders = names.map((name) => new Finder(name));
  const { failure } = await readInto(reading, listStage([]), (line) => {
    const member = line.replace(/\/+$/, "");
    for (const finder of finders) finder.look(member);
  });
  if (failure !== undefined) throw failure;
  const found = finders.flatMap((finder) => finder.result(reading.archive.name));
  return requireFew(found.map(decodeName));
}

/** Whether a name could be meant in another way than as it is. */
const isStrange = (name: string) => /[\\*?[]/.test(name);

/** A folder below one that is restored as a whole need not be named. */
const isBelow = (name: string, folder: string | undefined) =>
  folder !== undefined && (name === folder || name.startsWith(`${folder}/`));

/** A path of PATH_MAX bytes, each of them escaped. */
const longestMember = 4 * 4095;

/** Looks for what a name means among the members of an archive, by their escaped names. */
class Finder {
  readonly #name: string;
  readonly #plain: string;
  readonly #pattern: Glob;
  readonly #matches: string[] = [];
  #isPlain = false;
  #isEscaped = false;

  constructor(name: string) {
    this.#name = name;
    this.#plain = escapeName(name);
    this.#pattern = new Glob(name);
  }

  look(member: string): void {
    this.#isPlain ||= isBelow(member, this.#plain);
    this.#isEscaped ||= isBelow(member, this.#name);
    if (isBelow(member, this.#matches.at(-1)) || this.#matches.length > mostMembers) return;
    // Longer ones no file can have.
    if (member.length <= longestMember && this.#pattern.fits(member)) this.#matches.push(member);
  }

  /** The escaped names of what is meant: nearer to the letter comes first. */
  result(archive: string): readonly string[] {
    if (this.#isPlain) return [this.#plain];
    if (this.#isEscaped) return [this.#name];
    if (this.#matches.length > 0) return this.#matches;
    throw new PlasmaError("restore", `nothing in ${archive} is called ${this.#name}`, {
      remedy: "name paths as --dry-run lists them",
    });
  }
}

function decodeName(escaped: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(unescapeName(escaped));
  } catch {
    throw new PlasmaError("restore", `the name ${escaped} is not UTF-8`, {
      remedy: "restore the folder that holds it",
    });
  }
}

/** So many names, and so many bytes of them, fit on the command line of tar. */
const mostMembers = 5000;
const mostBytes = 500_000;

function requireFew(members: string[]): string[] {
  const bytes = members.reduce((sum, { length }) => sum + length * 4, 0);
  if (members.length <= mostMembers && bytes <= mostBytes) return members;
  throw new PlasmaError("restore", "more members are called so than can be named at once", {
    remedy: "restore the folder that holds them",
  });
}
