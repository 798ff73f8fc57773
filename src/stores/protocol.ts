import * as v from "valibot";
import { PlasmaError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";
import { shorten } from "../system/printable.ts";
import { runOwner } from "../system/run_id.ts";
import { protocolVersion, type WireError } from "./wire.ts";

export * from "./wire.ts";

/**
 * What agent and storage host say to each other over SSH.
 *
 * The agent writes one request, a line of JSON, to the standard input of `plasma serve`; for `store`
 * the raw bytes of the archive follow until the end of the input. The answer is one line of JSON on
 * standard output. A connection carries one request; the end of the input commits nothing. Spaces may
 * come before an answer that takes long, by which the storage host notices that nobody waits for it.
 *
 * After a request `receive` come so many bytes as its `orders` says: JSON, a list of the subvolumes in
 * the order of their streams. The storage host answers with a line as soon as it is ready; then come the
 * streams, one after the other, until the end of the input, and a second line says what was received.
 */

/**
 * The list of the subvolumes that are to be received may have no more bytes than this: 1.6 kB for each
 * of the 10,000 that there may be.
 */
export const maximumOrders = 16 << 20;

const runId = v.pipe(v.string(), v.check((id) => runOwner(id) !== undefined));
const kind = v.pipe(
  v.string(),
  v.check((kind) => parseArchiveName(`20200101-0000-daily.${kind}`) !== undefined),
);
const archive = v.pipe(v.string(), v.check((name) => parseArchiveName(name) !== undefined));
const agent = v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/)));
const common = { protocol: v.literal(protocolVersion), folder: v.pipe(v.string(), v.nonEmpty()) };

export const requestSchema = v.variant("verb", [
  v.object({
    ...common,
    verb: v.literal("hello"),
    subvolumes: v.optional(v.boolean(), false),
    probe: v.optional(v.boolean(), false),
    agent,
  }),
  v.object({ ...common, verb: v.literal("store"), run: runId }),
  v.object({
    ...common,
    verb: v.literal("commit"),
    run: runId,
    kind,
    bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
    agent,
  }),
  v.object({
    ...common,
    verb: v.literal("receive"),
    run: runId,
    stream: kind,
    orders: v.pipe(v.number(), v.safeInteger(), v.minValue(2), v.maxValue(maximumOrders)),
  }),
  v.object({ ...common, verb: v.literal("abort"), run: runId }),
  v.object({ ...common, verb: v.literal("list") }),
  v.object({ ...common, verb: v.literal("fetch"), name: archive }),
  v.object({
    ...common,
    verb: v.literal("verify"),
    name: archive,
    deep: v.optional(v.boolean(), false),
  }),
  v.object({ ...common, verb: v.literal("rotate"), dryRun: v.optional(v.boolean(), false) }),
]);

export type Request = v.InferOutput<typeof requestSchema>;
export type Verb = Request["verb"];

export const verbs: readonly Verb[] = requestSchema.options.map(({ entries }) =>
  entries.verb.literal
);

/**
 * Given the first line that a storage host answered, return its content.
 *
 * @throws {PlasmaError} the host's own error, or that this is no answer at all
 */
export function parseAnswer(line: string, host: string): Record<string, unknown> {
  const answer = parseObject(line);
  if (answer === undefined || !("protocol" in answer)) {
    throw new PlasmaError(
      "connection",
      `${host} did not answer in Plasma's protocol but said ${quote(line)}`,
      {
        code: "noise",
        remedy: "let the login's shell start-up files and forced commands print nothing",
      },
    );
  }
  if (answer.protocol !== protocolVersion) {
    throw new PlasmaError(
      "connection",
      `${host} speaks protocol ${shorten(String(answer.protocol), 20)}, not 1`,
      {
        code: "protocol",
        remedy: "install the same version of plasma on both machines",
      },
    );
  }
  if (answer.ok === true) return answer;
  throw remoteError(answer.error, host);
}

/** Errors that say: the config there or here is wrong, and nothing was touched. */
const usageCodes: readonly string[] = ["config", "usage"];

/** No message of ours is longer, and one of another storage host need not be read to its end. */
const longestMessage = 4000;

function remoteError(error: unknown, host: string): PlasmaError {
  const { code, stage, message, remedy } = (error ?? {}) as Partial<
    Record<keyof WireError, unknown>
  >;
  const word = (value: unknown, other: string) =>
    typeof value === "string" && /^[\w -]{1,40}$/.test(value) ? value : other;
  const words = typeof message === "string" ? message : "failed without a reason";
  return new PlasmaError(word(stage, "storage"), `${host}: ${shorten(words, longestMessage)}`, {
    code: word(code, "failed"),
    status: usageCodes.includes(String(code)) ? ExitStatus.Usage : ExitStatus.Failed,
    ...(typeof remedy === "string" ? { remedy: shorten(remedy, longestMessage) } : {}),
  });
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

function quote(line: string): string {
  return JSON.stringify(shorten(line, 100));
}
