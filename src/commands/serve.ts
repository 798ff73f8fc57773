import { type Arguments, parseCommandLine } from "../cli/args.ts";
import { PlasmaError, reasonOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import {
  formatAnswer,
  formatRefusal,
  readRequest,
  verbGroups,
  type VerbName,
  verbNames,
} from "../stores/wire.ts";
import type { UploadLimits } from "../stores/upload_limits.ts";
import { parseDuration, parseSize } from "../config/values.ts";
import { type Place, takePlace } from "../system/places.ts";
import { requireSafePath } from "../system/tools.ts";

export const help = `plasma serve [--root FOLDER] [--allow VERBS] [LIMITS]

Answer one request of an agent: a line of JSON on standard input, for "store" and "receive"
followed by the data. sshd runs it on the storage host; it needs no arguments there.

  --root FOLDER   confine all requests to this folder
  --allow VERBS   comma-separated verbs (${verbNames.join(", ")})
                  and groups: store (= ${verbGroups.store.join(", ")}),
                  read (= ${verbGroups.read.join(", ")}), rotate,
                  receive (= ${verbGroups.receive.join(", ")});
                  by default all, with --root all but receive
  --max-size SIZE      no upload may be larger, e.g. 200G; by default any may
  --max-uploads N      uploads in one folder that are under way or not committed yet;
                       by default 4 with --root, else any number
  --idle-timeout TIME  an upload of which nothing comes for so long is given up (1h)

In authorized_keys, for a key that can add archives and nothing else:
  command="plasma serve --root /data/backup/web1 --allow store",restrict ssh-ed25519 ...`;

/** A connection on which no request comes is closed after this time. */
const requestTimeoutMs = 30_000;

/**
 * So many processes serve one key at a time, by its root; further ones answer that we are busy. One
 * that waits takes some 15 MB, and an agent has two at most. Uploads do not count, which go on for
 * hours and have a limit of their own.
 */
const maximumSessions = 64;

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
  let place: Place | undefined;
  let request;
  try {
    place = await takePlace(sessionsOf(root), maximumSessions);
    if (place === undefined) throw busy();
    requireSafePath();
    request = await readRequest((buffer) => Deno.stdin.read(buffer), requestTimeoutMs);
  } catch (error) {
    if (!(error instanceof PlasmaError)) throw error;
    await answer(formatRefusal(error));
    return ExitStatus.Failed;
  }
  // Only now: what is loaded for a request takes as much memory again as it takes to wait for one.
  const { BrokenOff, serveRequest, tellable } = await import("../stores/server.ts");
  try {
    const streams = {
      input: 0 as const,
      prefix: request.rest,
      output: 1,
      answer,
      onUpload: () => place?.giveBack(),
    };
    const result = await serveRequest(request.line, streams, { allow, root, uploads });
    if (result !== undefined) await answer(formatAnswer(result));
    return ExitStatus.Done;
  } catch (error) {
    if (error instanceof BrokenOff) {
      console.error(error.message);
      return ExitStatus.Failed;
    }
    await answer(formatRefusal(tellable(error)));
    return ExitStatus.Failed;
  }
}

/** What the sessions of one key are counted by. */
function sessionsOf(root: string | undefined): string {
  if (root === undefined) return "serve";
  const { dev, ino } = Deno.statSync(root);
  return `serve-${dev}-${ino}`;
}

/** Agents come back by themselves. */
function busy(): PlasmaError {
  return new PlasmaError(
    "storage",
    `busy: ${maximumSessions} connections of this key are being served`,
    { code: "busy", remedy: "try again in a minute" },
  );
}

async function answer(line: string): Promise<void> {
  const bytes = new TextEncoder().encode(line);
  let offset = 0;
  while (offset < bytes.length) offset += await Deno.stdout.write(bytes.subarray(offset));
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
