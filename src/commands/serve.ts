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
import { awaitPlace, type Place, takePlace } from "../system/places.ts";
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

/**
 * So many processes serve one key at a time, by its root; further ones answer that we are busy. One
 * that waits takes some 15 MB, and an agent has two at most. What goes on for hours does not count:
 * uploads have a limit of their own, the rest has other places.
 */
const maximumSessions = 64;

/**
 * So many of them do something at a time, the others wait for their turn: with all that a storage folder
 * can hold a request takes up to 300 MB.
 */
const maximumWorking = 4;
const turnSeconds = 40;

/** The places of a key for what may take hours, and for a verification also a gigabyte and a half. */
const longPlaces = { downloads: 8, verifications: 2 } as const;

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
  const answer = (line: string) =>
    write(new TextEncoder().encode(line), Math.min(answerTimeoutSeconds, idleSeconds));
  let place: Place | undefined;
  let turn: Place | undefined;
  let request;
  try {
    const sessions = sessionsOf(root);
    place = await takePlace(sessions, maximumSessions);
    if (place === undefined) throw busy(`${maximumSessions} connections`);
    requireSafePath();
    using _loading = new LoadingAhead(sessions);
    request = await readRequest((buffer) => Deno.stdin.read(buffer), requestTimeoutMs);
    // Without a root it is the key of a login that may do everything, for many storage folders.
    if (root !== undefined) {
      turn = await awaitPlace(`working-${sessions}`, maximumWorking, turnSeconds);
      if (turn === undefined) throw busy(`${maximumWorking} requests`);
    }
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
      answer,
      send: (bytes: Uint8Array) => write(bytes, idleSeconds),
      onUpload() {
        place?.giveBack();
        turn?.giveBack();
      },
      async enter(what: keyof typeof longPlaces) {
        const count = root === undefined ? maximumSessions : longPlaces[what];
        const longPlace = await takePlace(`${what}-${sessionsOf(root)}`, count);
        if (longPlace === undefined) throw busy(`${count} ${what}`);
        place?.giveBack();
        turn?.giveBack();
        place = longPlace;
      },
    };
    const result = await serveRequest(request.line, streams, limits);
    if (result !== undefined) await answer(formatAnswer(result));
    return ExitStatus.Done;
  } catch (error) {
    if (error instanceof BrokenOff) throw error;
    await answer(formatRefusal(tellable(error)));
    return ExitStatus.Failed;
  }
}

/**
 * What a request needs takes as much memory again as it takes to wait for one: it is loaded when the
 * request has come. So few load it while they wait, for agents open their sessions ahead.
 */
const maximumLoaded = 4;
/** What opens a session with its request has no use for that, in milliseconds. */
const loadAfterMs = 100;

/** Load what a request needs, if it does not come at once. */
class LoadingAhead implements Disposable {
  readonly #timer;
  #place: Promise<Place | undefined> | undefined;

  constructor(sessions: string) {
    this.#timer = setTimeout(
      () => this.#place = this.#load(sessions).catch(() => undefined),
      loadAfterMs,
    );
  }

  async #load(sessions: string): Promise<Place | undefined> {
    const place = await takePlace(`loaded-${sessions}`, maximumLoaded);
    if (place !== undefined) await import("../stores/server.ts");
    return place;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    void this.#place?.then((place) => place?.giveBack());
  }
}

/** What the sessions of one key are counted by. */
function sessionsOf(root: string | undefined): string {
  if (root === undefined) return "serve";
  const { dev, ino } = Deno.statSync(root);
  return `serve-${dev}-${ino}`;
}

/** Agents come back by themselves. */
function busy(what: string): PlasmaError {
  return new PlasmaError("storage", `busy: ${what} of this key are being served`, {
    code: "busy",
    remedy: "try again in a minute",
  });
}

/**
 * Write to whoever asked.
 *
 * @throws {BrokenOff} if that one is gone, or takes nothing for so long
 */
async function write(bytes: Uint8Array, idleSeconds: number): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const why = `the connection was given up: nothing was taken for ${idleSeconds} s`;
    const timer = setTimeout(() => reject(new BrokenOff(why)), idleSeconds * 1000);
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
