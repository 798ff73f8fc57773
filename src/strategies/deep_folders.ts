import { type Command, start } from "../system/process.ts";
import { pathIn, tarCommand, type TarJob } from "./tar_command.ts";

/**
 * Deeper than this nobody nests folders but an attacker or a program gone mad. In each of them GNU tar
 * goes on with more stack and with one more copy of the whole path, until the system kills it. Matching
 * a pattern of so many parts takes fnmatch(3) of glibc 2.36 some 10 kB of stack for each; 8 MiB are usual.
 */
const mostLevels = 200;

/** More places are not looked for. */
const mostPlaces = 10_000;

/** A command that archives what tar can cope with. */
export interface Bounded {
  readonly command: Command;
  /** Whether there is something that it leaves out. */
  readonly isLess: boolean;
  /** What is left out, for the user. */
  readonly problem: string;
}

/**
 * The command for a job without the folders that are nested too deep for tar, and their names.
 *
 * @param within makes of a command of tar the one that sees the folders
 */
export async function boundDepth(
  job: TarJob,
  within: (command: Command) => Command,
  signal: AbortSignal,
): Promise<Bounded> {
  const names = tarCommand({ ...job, namesOnly: true, mostLevels: mostLevels + 1 });
  const places = await findDeepPlaces(within(names), signal);
  return {
    command: within(tarCommand({ ...job, mostLevels })),
    isLess: places.size > 0,
    problem: describe(places),
  };
}

/** The folders just above what is too deep, among the names that a command prints. */
async function findDeepPlaces(command: Command, signal: AbortSignal): Promise<Set<string>> {
  const places = new Set<string>();
  const child = await start(command, { stdout: "pipe" });
  const end = () => child.kill("SIGKILL");
  signal.addEventListener("abort", end);
  try {
    for await (const line of linesOf(child.process.stdout!)) {
      const levels = line.replace(/^\.\//, "").replace(/\/$/, "").split("/");
      if (levels.length <= mostLevels) continue;
      places.add(pathIn(levels.slice(0, mostLevels).join("/")));
      if (places.size >= mostPlaces) break;
    }
  } finally {
    signal.removeEventListener("abort", end);
    end();
    await child.exited;
  }
  signal.throwIfAborted();
  return places;
}

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

const mostNamed = 5;
const nameLength = 80;

function describe(places: ReadonlySet<string>): string {
  const names = [...places].slice(0, mostNamed).map((path) =>
    path.length <= nameLength ? path : `${path.slice(0, nameLength)}...`
  );
  const more = places.size - names.length;
  const others = places.size >= mostPlaces ? [`more than ${more} others`] : [`${more} others`];
  const where = [...new Set(names), ...(more > 0 ? others : [])].join(", ");
  return `archive: what is nested more than ${mostLevels} folders deep is left out, ` +
    `because tar cannot cope with it: ${places.size === 0 ? "none was found" : `below ${where}`}`;
}
