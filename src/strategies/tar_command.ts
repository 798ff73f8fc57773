import { PlasmaError, UsageError } from "../errors.ts";
import { isWithin } from "../system/paths.ts";
import { type Command, describeExit, type Exit, run } from "../system/process.ts";
import { countedLines, isDelayedFailure, isGap, tarComplaints } from "../system/tar_messages.ts";

/** A folder that is to be archived. */
export interface TarFolder {
  /** Where it is found: "/" for the live system, or a tree of snapshots. */
  readonly root: string;
  /** The absolute path as it is seen in the archive. */
  readonly path: string;
}

/** What tar(1) is to archive. */
export interface TarJob {
  /** None within another. */
  readonly folders: readonly TarFolder[];
  /** Patterns as `tar --exclude` takes them; a leading slash stands for the root. */
  readonly exclude: readonly string[];
  readonly excludeCaches: boolean;
  /** Files and folders that are left out altogether, by path. */
  readonly omit: readonly string[];
  /** Folders whose content is left out, by path. */
  readonly empty: readonly string[];
  /** A file with patternList() of these two, for which a command line may be too short. */
  readonly listFile?: string;
  /** Longer paths are left out: the bytes from the root to the end. */
  readonly longestPath?: number;
  /** Write no archive but the names of its members, a line each. */
  readonly namesOnly?: boolean;
}

/** The flags by which GNU tar keeps everything that there is to keep. */
export const tarFlags: readonly string[] = [
  "--create",
  "--format=posix",
  // Without the process id and times of reading in the headers, the same tree gives the same bytes.
  "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
  "--numeric-owner",
  "--sparse",
  "--acls",
  "--xattrs",
  "--xattrs-include=*",
  // Says at the end that it has written everything.
  "--totals",
  "--no-unquote",
  // Few large writes: the pipe is read in large blocks too.
  "--blocking-factor=128",
];

/**
 * The command line of GNU tar for a job. Members are named without the leading slash, as Plasma 1.0
 * named them ("etc/passwd"), and keep numeric owners, modes, hard links, sparse regions, ACLs and
 * extended attributes; the format is pax (POSIX.1-2001), which `--xattrs` needs and any tar reads.
 */
export function tarCommand(job: TarJob): Command {
  const whole = isWhole(job);
  const name = nameIn(job);
  const anywhere = job.exclude.filter((pattern) => !isFromRoot(pattern)).map(tidy);
  return {
    program: "tar",
    args: [
      ...tarFlags,
      // GNU tar does not read what it would write to /dev/null.
      ...(job.namesOnly === true ? ["--verbose", "--file=/dev/null"] : ["--file=-"]),
      ...(job.excludeCaches ? ["--exclude-caches"] : []),
      "--wildcards",
      "--anchored",
      ...(job.listFile === undefined
        ? placePatterns(job).map(excludeFlag)
        : [`--exclude-from=${job.listFile}`]),
      ...job.exclude.filter(isFromRoot).map((pattern) => excludeFlag(name(tidy(pattern)))),
      ...(job.longestPath === undefined
        ? []
        : [`--exclude=${"?".repeat(name("/").length + job.longestPath)}*`]),
      "--no-anchored",
      ...anywhere.filter((pattern) => !isOfOneName(pattern)).map(excludeFlag),
      "--no-wildcards-match-slash",
      ...anywhere.filter(isOfOneName).map(excludeFlag),
      ...(whole ? ["--transform=flags=rh;s,^\\./\\(.\\),\\1,"] : []),
      ...job.folders.flatMap(({ root, path }) => [
        `--directory=${root}`,
        `--add-file=${whole ? "." : name(path)}`,
      ]),
    ],
  };
}

const isWhole = ({ folders }: TarJob) => folders.some(({ path }) => path === "/");

/** The root itself is ".", and then all names begin with "./" until they are stored. */
function nameIn(job: TarJob): (path: string) => string {
  const prefix = isWhole(job) ? "./" : "";
  return (path) => prefix + path.replace(/^\/+/, "");
}

function placePatterns(job: TarJob): string[] {
  const name = nameIn(job);
  return [
    ...job.omit.map((path) => escapePattern(name(path))),
    ...job.empty.map((path) => `${escapePattern(name(path))}/*`),
  ];
}

/**
 * What is omitted and empty, as `tar --exclude-from` takes it: a line each, of which tar cuts off what is
 * space to isspace(3) in the locale "C".
 */
export function patternList(job: TarJob): string {
  return placePatterns(job).map((pattern) =>
    withWildcard(pattern).replaceAll("\n", "?").replaceAll(/[ \t\v\f\r]/g, "[$&]") + "\n"
  ).join("");
}

const isFromRoot = (pattern: string) => pattern.startsWith("/");

/** A pattern with a slash at its end would match nothing. */
const tidy = (pattern: string) => pattern.length > 1 ? pattern.replace(/\/+$/, "") : pattern;

function escapePattern(path: string): string {
  return path.replaceAll(/[\\*?[\]]/g, "\\$&");
}

/**
 * Whether a pattern fits the same names if `*` does not stand for slashes: then tar need not look at the
 * whole rest of a path from each of its folders on, which takes hours where a user nests thousands.
 */
const isOfOneName = (pattern: string) => /^\*?[^*?[\\/]*\*?$/.test(pattern);

/**
 * For the same reason each pattern has a wildcard: those without one tar looks up by all the parts of a
 * path, the more the deeper, while fnmatch(3) most often is done at the first letter.
 */
function withWildcard(pattern: string): string {
  const isPlain = !/[*?[]|\\$/.test(pattern.replaceAll(/\\./gs, ""));
  const start = /^((?:\\.|[^\\A-Za-z0-9])*)([A-Za-z0-9])/s;
  return isPlain ? pattern.replace(start, "$1[$2]") : pattern;
}

const excludeFlag = (pattern: string) => `--exclude=${withWildcard(pattern)}`;

const controls: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** Take back the quoting of names in tar's messages: "\\n", "\\303\\244", "\\\\". */
function unquote(text: string): string {
  const bytes = text.split(/(\\(?:[0-7]{3}|.))/s).flatMap((part) => {
    if (!part.startsWith("\\")) return [...new TextEncoder().encode(part)];
    const code = part.slice(1);
    if (code.length === 3) return [parseInt(code, 8)];
    return [controls[code] ?? code.charCodeAt(0)];
  });
  return new TextDecoder().decode(new Uint8Array(bytes));
}

const totals = /^Total bytes written: (\d+)/;

/** What tar has said, sorted. */
interface TarWords {
  /** The size of the archive; tar says it only at the end of a complete one. */
  readonly totalBytes: number | undefined;
  /** About files. */
  readonly complaints: readonly string[];
}

function sortWords(messages: readonly string[]): TarWords {
  const total = messages.map((line) => totals.exec(line)?.[1]).find((bytes) => bytes !== undefined);
  return {
    totalBytes: total === undefined ? undefined : Number(total),
    complaints: tarComplaints(messages.filter((line) => !totals.test(line))),
  };
}

/** Files that changed, or whose attributes could not be read: these alone are no errors to tar. */
const changes =
  /: (Warning: Cannot \w+: [^:]+|file changed as we read it|File removed before we read it|File shrank by \d+ bytes?; padding with zeros)$/;

/** Files that are not in the archive, or folders without their content. */
const leftOut =
  /^(.+): (?:Cannot (?:open|stat|readlink|savedir|read|close): ([^:]+)|Unknown file type; file ignored)$/;

/** Not the fault of who owns a file: a bad sector, or what the next one would fare likewise with. */
const isOwnFault = (reason = "") =>
  /^(Input\/output error|Structure needs cleaning|Too many open files( in system)?|Cannot allocate memory)$/
    .test(reason);

/**
 * What a complaint says of a file that others may be to blame for: who owns it can keep even root from
 * reading it, by a lease, a FUSE filesystem or a well-timed rename.
 *
 * @returns undefined if the archive is not to be stored because of it
 */
function excuse(line: string, folders: readonly string[]): string | undefined {
  if (changes.test(line)) return line;
  const found = leftOut.exec(line);
  if (found === null || isOwnFault(found[2])) return undefined;
  const path = pathIn(found[1]!).replace(/\/+$/, "");
  if (!folders.some((folder) => path !== folder && isWithin(path, folder))) return undefined;
  return `left out: ${line}`;
}

/** What tar says, beginning with a path as it is in the system. */
export const pathIn = (words: string) => `/${unquote(words).replace(/^\.?\/+/, "")}`;

/**
 * Judge how tar ended.
 *
 * @param mayChange whether what tar complains of, "/path: complaint", may have changed while it was
 * read; then status 1 ("some files differ") gives warnings, and else it is a failure
 * @param folders below them, but not in their own case, likewise with what could not be read
 * @throws {PlasmaError} if the archive is not complete
 */
export function judgeTar(
  exit: Exit,
  messages: readonly string[],
  mayChange: (words: string) => boolean,
  folders: readonly string[] = [],
): string[] {
  const { totalBytes, complaints } = sortWords(messages);
  const isLive = complaints.every((line) => mayChange(pathIn(line))) && !messages.some(isGap);
  const excuses = complaints.map((line) => excuse(line, folders));
  const isExcused = exit.code === 2 && isLive && excuses.length > 0 &&
    isDelayedFailure(messages.at(-1)) && !excuses.includes(undefined);
  const isTolerable = exit.code === 0 || (exit.code === 1 && isLive) || isExcused;
  if (isTolerable && totalBytes !== undefined) {
    if (exit.code === 0) return [];
    const warnings = isExcused ? excuses.filter((words) => words !== undefined) : complaints;
    return [
      ...warnings,
      ...unnamed.flatMap(({ sort, words }) => {
        const count = messages.reduce((sum, line) => sum + countedLines(line, sort), 0);
        return count === 0 ? [] : [`and ${count} more files that ${words}`];
      }),
    ];
  }
  const what = isTolerable ? "ended before the archive was complete" : describeExit(exit);
  const words = complaints.length === 0 ? "" : `: ${complaints.slice(0, 5).join(" / ")}`;
  const more = complaints.length > 5 ? ` (and ${complaints.length - 5} more)` : "";
  // Moved folders whose descriptors it had to close meanwhile: it finds no way back, and says nothing.
  const isLost = exit.code === 2 && totalBytes === undefined && isLive && complaints.length > 0 &&
    !excuses.includes(undefined);
  const code = isLost ? "exhausted" : strain(exit, complaints);
  throw new PlasmaError("archive", `tar ${what}${words}${more}`, {
    code: code ?? "source",
    ...(code === undefined && complaints.length > 0
      ? { remedy: "mend or exclude these files" }
      : {}),
  });
}

/** How what tar complains of is sorted where there is too much of it. */
type Sort = "changed" | "left out" | "remarks";

/** What is said of files that are only counted. */
const unnamed: readonly { sort: Sort; words: string }[] = [
  { sort: "changed", words: "changed or vanished meanwhile" },
  { sort: "left out", words: "are left out" },
];

/** How many files warnings of judgeTar() are about. */
export function countFiles(warnings: readonly string[]): { changed: number; leftOut: number } {
  const isLeftOut = (words: string) => words.startsWith("left out: ");
  const counted = unnamed.map(({ words }) =>
    warnings.reduce((sum, line) => {
      const [, count, what] = /^and (\d+) more files that (.*)$/.exec(line) ?? [];
      return sum + (what === words ? Number(count) : 0);
    }, 0)
  );
  const named = warnings.filter((line) => !/^and \d+ more files that /.test(line));
  const leftOut = named.filter(isLeftOut).length;
  return { changed: named.length - leftOut + counted[0]!, leftOut: leftOut + counted[1]! };
}

/** Whether judgeTar() would excuse a line of tar's messages anyway: then only the number matters. */
export function sortLine(
  line: string,
  mayChange: (words: string) => boolean,
  folders: readonly string[],
): Sort | undefined {
  const [words] = tarComplaints([line]);
  if (words === undefined) return "remarks";
  if (!mayChange(pathIn(words))) return undefined;
  if (changes.test(words)) return "changed";
  return excuse(words, folders) === undefined ? undefined : "left out";
}

/**
 * What may have ended tar because paths are too long: in each folder it goes on with more stack and
 * memory, and it copies their whole path.
 *
 * @returns "exhausted" if it gave up by itself, "killed" if it was the system for want of memory, or
 * somebody else; undefined for other ends
 */
function strain({ code, signal }: Exit, complaints: readonly string[]): Strain | undefined {
  if (signal === "SIGKILL" || code === 137) return "killed";
  const isCrash = ["SIGSEGV", "SIGABRT"].includes(signal ?? "") || [134, 139].includes(code ?? 0);
  return isCrash || complaints.includes("memory exhausted") ? "exhausted" : undefined;
}

const strains = ["exhausted", "killed"] as const;
type Strain = typeof strains[number];

/** Whether an error of judgeTar() may be gone without the longest paths. */
export const strainOf = (error: unknown): Strain | undefined =>
  error instanceof PlasmaError ? strains.find((code) => code === error.code) : undefined;

/**
 * Make sure that tar is there and is GNU tar.
 *
 * @throws {UsageError} if it is not
 */
export async function requireGnuTar(): Promise<void> {
  const { stdout, exit } = await run({ program: "tar", args: ["--version"] });
  const [line] = new TextDecoder().decode(stdout).split("\n");
  if (exit.code === 0 && line?.includes("GNU tar")) return;
  throw new UsageError(
    "tools",
    `the program tar is not GNU tar but "${line}"`,
    "install the package tar",
  );
}
