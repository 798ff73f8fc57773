import { type Arguments, parseCommandLine } from "../cli/args.ts";
import { PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import {
  BrokenOff,
  formatAnswer,
  formatRefusal,
  readRequest,
  verbGroups,
  type VerbName,
  verbNames,
} from "../stores/wire.ts";
import type { ServerLimits } from "../stores/server.ts";
import type { UploadLimits } from "../stores/upload_limits.ts";
import { parseDuration, parseSize } from "../config/values.ts";
import { SessionPlaces } from "../stores/session_places.ts";
import { requireSafePath } from "../system/tools.ts";

export const help = `plasma serve [--root FOLDER] [--allow VERBS] [LIMITS]

Answer one request of an agent: a line of JSON on standard input, for "store" and "receive"
followed by the data. sshd runs it on the storage host; it needs no arguments there.

  --root FOLDER        confine all requests to this folder
  --allow VERBS        comma-separated verbs (${verbNames.join(", ")})
                       and groups: store (= ${verbGroups.store.join(", ")}),
                       read (= ${verbGroups.read.join(", ")}), rotate,
                       receive (= ${verbGroups.receive.join(", ")});
                       by default all, with --root all but receive

Limits; who exceeds one is told which:
  --max-size SIZE      of one upload, e.g. 200G; by default none
  --max-uploads N      uploads in one folder that are under way or not committed yet;
                       by default 4 with --root, else any number
  --idle-timeout TIME  an upload of which nothing comes for so long is given up (1h), and a
                       download of which nothing is taken

In authorized_keys, for a key that can add archives and nothing else:
  command="plasma serve --root /data/backup/web1 --allow store",restrict ssh-ed25519 ...`;

/** A connection on which no request comes is closed after this time. */
const requestTimeoutMs = 30_000;

/** So is one that takes nothing of its answer. */
const answerTimeoutSeconds = 60;

/** So much is written at once: whether some of it has been taken cannot be seen. */
const chunkBytes = 256 << 10;

/** An answer is taken at least so fast, in bytes a second: a list of 100,000 archives has 20 MB. */
const leastRate = 64 << 10;

/** One that fits into the pipe to sshd keeps nobody waiting, see pipe(7). */
const smallAnswer = 32 << 10;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("serve", args, {
    values: ["root", "allow", "max-size", "max-uploads", "idle-timeout"],
  });
  if (line.positional.length > 0) {
    throw new UsageError("command line", `unexpected argument "${line.positional[0]}"`);
  }
  const root = resolveRoot(line.value("root"));
  const allow = parseAllow(line.value("allow"), root !== undefined);
  const uploads = parseLimits(line, root !== undefined);
  try {
    return await serve({ allow, root, uploads });
  } catch (error) {
    if (!(error instanceof BrokenOff)) throw error;
    console.error(error.message);
    return ExitStatus.Failed;
  }
}

async function serve(limits: ServerLimits & { uploads: UploadLimits }): Promise<ExitStatus> {
  const { root } = limits;
  const { idleSeconds = defaultIdleSeconds } = limits.uploads;
  const answer = async (line: string) => {
    const bytes = new TextEncoder().encode(line);
    const seconds = Math.min(answerTimeoutSeconds, idleSeconds);
    await write(bytes, seconds, seconds + bytes.length / leastRate);
  };
  let places: SessionPlaces | undefined;
  let request;
  try {
    places = await SessionPlaces.take(root);
    requireSafePath();
    using _loading = places.loadAhead(async () => (await import("../stores/server.ts")).loadAll());
    request = await readRequest((buffer) => Deno.stdin.read(buffer), requestTimeoutMs);
    await places.takeTurn();
  } catch (error) {
    if (!(error instanceof PlasmaError)) throw error;
    await answer(formatRefusal(error));
    return ExitStatus.Failed;
  }
  const { serveRequest, tellable } = await import("../stores/server.ts");
  try {
    const streams = {
      input: 0 as const,
      prefix: request.rest,
      places,
      answer,
      send: (bytes: Uint8Array) => write(bytes, idleSeconds),
    };
    const result = await serveRequest(request.line, streams, limits);
    if (result === undefined) return ExitStatus.Done;
    const line = formatAnswer(result);
    if (line.length < smallAnswer) places.endTurn();
    await answer(line);
    return ExitStatus.Done;
  } catch (error) {
    if (error instanceof BrokenOff) throw error;
    places.endTurn();
    await answer(formatRefusal(tellable(error)));
    return ExitStatus.Failed;
  }
}

/**
 * Write to whoever asked.
 *
 * @throws {BrokenOff} if that one is gone, takes nothing for so long, or has not all after `seconds`
 */
async function write(bytes: Uint8Array, idleSeconds: number, seconds = Infinity): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  for (let offset = 0; offset < bytes.length;) {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const left = deadline - performance.now();
    const why = left < idleSeconds * 1000
      ? "what is answered is taken too slowly"
      : `nothing was taken for ${idleSeconds} s`;
    const giveUp = () => reject(new BrokenOff(`the connection was given up: ${why}`));
    const timer = setTimeout(giveUp, Math.min(idleSeconds * 1000, left));
    try {
      const chunk = bytes.subarray(offset, offset + chunkBytes);
      offset += await Promise.race([Deno.stdout.write(chunk), late]);
    } catch (error) {
      if (error instanceof BrokenOff) throw error;
      throw new BrokenOff(`nobody takes what is answered: ${reasonOf(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

function parseAllow(text: string | undefined, isConfined: boolean): ReadonlySet<VerbName> {
  if (text === undefined) {
    // A stream of btrfs can be made so that it clones data out of other files: btrfs-receive(8), BUGS.
    return new Set(verbNames.filter((verb) => verb !== "receive" || !isConfined));
  }
  const words = text.split(",").map((word) => word.trim()).filter((word) => word !== "");
  return new Set(words.flatMap((word): readonly VerbName[] => {
    if (Object.hasOwn(verbGroups, word)) return verbGroups[word as keyof typeof verbGroups];
    if (verbNames.includes(word as VerbName)) return [word as VerbName];
    throw new UsageError("command line", `--allow: "${word}" is neither a verb nor a group`);
  }));
}

/** An agent gives up an upload after the same time. */
const defaultIdleSeconds = 3600;

const defaultUploads = 4;

function parseLimits(line: Arguments, isConfined: boolean): UploadLimits {
  const uploads = line.value("max-uploads");
  return {
    maxBytes: parseFlag(line, "max-size", parseSize, 'a size such as "200G"'),
    maxUploads: uploads === undefined
      ? (isConfined ? defaultUploads : undefined)
      : parseFlag(line, "max-uploads", parseCount, "a number above 0"),
    idleSeconds: parseFlag(line, "idle-timeout", parseDuration, 'a time such as "15m"') ??
      defaultIdleSeconds,
  };
}

const parseCount = (text: string) => /^[1-9]\d{0,5}$/.test(text) ? Number(text) : undefined;

function parseFlag(
  line: Arguments,
  flag: string,
  parse: (text: string) => number | undefined,
  expected: string,
): number | undefined {
  const text = line.value(flag);
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value !== undefined && value > 0) return value;
  throw new UsageError("command line", `--${flag}: "${text}" is not ${expected}`);
}

function resolveRoot(root: string | undefined): string | undefined {
  if (root === undefined) return undefined;
  try {
    return Deno.realPathSync(root);
  } catch (error) {
    throw new UsageError("command line", `--root ${root}: ${reasonOf(error)}`);
  }
}
