import { type Command, type Exit, start } from "../system/process.ts";
import { isDelayedFailure } from "../system/tar_messages.ts";
import { pathIn, strainOf } from "./judge_tar.ts";
import { tarCommand, type TarJob } from "./tar_command.ts";

/**
 * What nobody but an attacker or a program gone mad makes: folders that are nested by the thousand. In
 * each of them GNU tar goes on with more stack and with one more copy of the whole path, and of each
 * file with several links it keeps the path too, until the system kills it. Without paths that are so
 * many bytes longer than those of the configured folders it needs little, and no program can open
 * paths beyond 4096 bytes at once.
 */
const mostBytes = 1000;

/** No name in a folder has more bytes. */
const longestName = 255;

/** More places are not looked for. */
const mostPlaces = 1000;

/** tar says nothing for so long only if it hangs. */
const patienceMs = 3600_000;

/** A command that archives what tar can cope with. */
export interface Bounded {
  readonly command: Command;
  /** The places in which it leaves something out, as far as they are known. */
  readonly warnings: readonly string[];
  /** All of it in a line. */
  readonly problem: string;
}

/**
 * The command for a job without the paths that are too long for tar, and what it leaves out.
 *
 * @param error by which tar ended
 * @param within makes of a command of tar the one that sees the folders
 * @returns undefined if tar has not ended because of such paths
 */
export async function boundPaths(
  error: unknown,
  job: TarJob,
  within: (command: Command) => Command,
  signal: AbortSignal,
): Promise<Bounded | undefined> {
  const strain = strainOf(error);
  if (strain === undefined) return undefined;
  const encoder = new TextEncoder();
  const longest = Math.max(...job.folders.map(({ path }) => encoder.encode(path).length));
  const longestPath = longest + mostBytes;
  // The first that are too long, in all folders whose own paths are not.
  const names = tarCommand({
    ...job,
    namesOnly: true,
    longestPath: longestPath + 1 + longestName,
  });
  const found = await findPlaces(within(names), longestPath, signal);
  // Whoever gives up by himself has met such paths, though others may hide them now.
  if (strain === "killed" && found.places.length === 0) return undefined;
  return {
    command: within(tarCommand({ ...job, longestPath })),
    warnings: found.places.map((path) => `left out: long paths below ${quotePlace(path)}`),
    problem: describe(found, longestPath),
  };
}

interface Found {
  readonly places: readonly string[];
  /** Whether these are all. */
  readonly isWhole: boolean;
}

/** The folders just above what is too long, among the names that a command prints. */
async function findPlaces(
  command: Command,
  longestPath: number,
  signal: AbortSignal,
): Promise<Found> {
  signal.throwIfAborted();
  const places = new Set<string>();
  const child = await start(command, { stdout: "pipe" });
  const end = () => child.kill("SIGKILL");
  let timer = setTimeout(end, patienceMs);
  signal.addEventListener("abort", end);
  let isWhole = false;
  try {
    if (signal.aborted) end();
    let last: string | undefined;
    for await (const lines of linesOf(child.process.stdout!)) {
      clearTimeout(timer);
      timer = setTimeout(end, patienceMs);
      for (const line of lines) {
        if (last !== undefined && line.startsWith(last)) continue;
        const place = placeOf(line, longestPath);
        if (place === undefined) continue;
        last = `${place}/`;
        places.add(place);
      }
      if (places.size >= mostPlaces) break;
    }
    isWhole = places.size < mostPlaces && isComplete(await child.exited, child.messages.lines);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    end();
    await child.exited;
  }
  signal.throwIfAborted();
  return { places: [...places].slice(0, mostPlaces).map(pathIn), isWhole };
}

/** Whether tar has seen all that it could. */
const isComplete = ({ code }: Exit, messages: readonly string[]) =>
  code === 0 || code === 1 || (code === 2 && isDelayedFailure(messages.at(-1)));

/** The lines of each chunk. */
async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder("latin1");
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk)).split("\n");
    rest = lines.pop()!;
    yield lines;
  }
}

/**
 * The longest folder of a path whose own path is not too long; undefined if the path itself is not.
 *
 * @param line as tar prints a name, in which "\\303" or "\\n" stand for one byte
 */
export function placeOf(line: string, longestPath: number): string | undefined {
  // A leading slash is missing, or "./" stands for it.
  const start = line.startsWith("./") ? 2 : 0;
  let bytes = 1;
  let slash = start;
  for (let index = start; index < line.length; bytes++) {
    if (line[index] === "/") {
      if (index === line.length - 1) break;
      slash = index;
    }
    if (bytes >= longestPath) return line.slice(0, slash);
    if (line[index] !== "\\") index++;
    else index += /[0-7]/.test(line[index + 1] ?? "") ? 4 : 2;
  }
  return undefined;
}

const mostNamed = 5;
const nameLength = 120;

/** A name that ends where it seems to end, and not too late. */
export function quotePlace(path: string): string {
  const short = path.length <= nameLength ? path : `${path.slice(0, nameLength)}...`;
  return `"${short.replaceAll(/["\\]/g, "\\$&")}"`;
}

function describe({ places, isWhole }: Found, longestPath: number): string {
  const more = places.length - mostNamed;
  const named = [
    ...places.slice(0, mostNamed).map(quotePlace),
    ...(more > 0 ? [`${more} others`] : []),
    ...(isWhole ? [] : ["perhaps others"]),
  ].join(", ");
  const unknown = isWhole ? "none was found" : "which ones could not be found out";
  return "archive: paths of more than " +
    `${longestPath} bytes are left out, because tar cannot cope with them: ` +
    (places.length === 0 ? unknown : `below ${named}`);
}
