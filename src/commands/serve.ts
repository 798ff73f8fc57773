import { parseCommandLine } from "../cli/args.ts";
import { reasonOf, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import {
  confinedVerbs,
  formatAnswer,
  formatRefusal,
  type Verb,
  verbGroups,
  verbs,
} from "../stores/protocol.ts";
import { BrokenOff, readRequest, serveRequest, tellable } from "../stores/server.ts";
import { requireSafePath } from "../system/tools.ts";

export const help = `plasma serve [--root FOLDER] [--allow VERBS]

Answer one request of an agent: a line of JSON on standard input, for "store" and "receive"
followed by the data. sshd runs it on the storage host; it needs no arguments there.

  --root FOLDER   confine all requests to this folder
  --allow VERBS   comma-separated verbs (${verbs.join(", ")})
                  and groups: store (= ${verbGroups.store.join(", ")}),
                  read (= ${verbGroups.read.join(", ")}), rotate,
                  receive (= ${verbGroups.receive.join(", ")});
                  by default all, with --root all but receive

In authorized_keys, for a key that can add archives and nothing else:
  command="plasma serve --root /data/backup/web1 --allow store",restrict ssh-ed25519 ...`;

/** A connection on which no request comes is closed after this time. */
const requestTimeoutMs = 30_000;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const { positional, value } = parseCommandLine("serve", args, { values: ["root", "allow"] });
  if (positional.length > 0) {
    throw new UsageError("command line", `unexpected argument "${positional[0]}"`);
  }
  const root = resolveRoot(value("root"));
  const allow = parseAllow(value("allow"), root === undefined ? verbs : confinedVerbs);
  try {
    requireSafePath();
    const { line, rest } = await readRequest((buffer) => Deno.stdin.read(buffer), requestTimeoutMs);
    const streams = { input: 0, prefix: rest, output: 1, answer };
    const result = await serveRequest(line, streams, { allow, root });
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

async function answer(line: string): Promise<void> {
  const bytes = new TextEncoder().encode(line);
  let offset = 0;
  while (offset < bytes.length) offset += await Deno.stdout.write(bytes.subarray(offset));
}

function parseAllow(text: string | undefined, byDefault: readonly Verb[]): ReadonlySet<Verb> {
  if (text === undefined) return new Set(byDefault);
  const words = text.split(",").map((word) => word.trim()).filter((word) => word !== "");
  return new Set(words.flatMap((word): readonly Verb[] => {
    if (Object.hasOwn(verbGroups, word)) return verbGroups[word as keyof typeof verbGroups];
    if (verbs.includes(word as Verb)) return [word as Verb];
    throw new UsageError("command line", `--allow: "${word}" is neither a verb nor a group`);
  }));
}

function resolveRoot(root: string | undefined): string | undefined {
  if (root === undefined) return undefined;
  try {
    return Deno.realPathSync(root);
  } catch (error) {
    throw new UsageError("command line", `--root ${root}: ${reasonOf(error)}`);
  }
}
