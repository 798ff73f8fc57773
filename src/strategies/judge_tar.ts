import { PlasmaError } from "../errors.ts";
import { isWithin } from "../system/paths.ts";
import { describeExit, type Exit } from "../system/process.ts";
import { countedLines, isDelayedFailure, isGap, tarComplaints } from "../system/tar_messages.ts";

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
