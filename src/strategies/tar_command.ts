import { UsageError } from "../errors.ts";
import { type Command, run } from "../system/process.ts";

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
