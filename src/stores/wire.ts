import { PlasmaError } from "../errors.ts";

/**
 * What a `plasma serve` needs of the protocol while it waits for its request. It uses no more than
 * that, and no module of Node: hundreds of them may be waiting at once.
 */

export const protocolVersion = 1;

/** A request may have no more bytes than this, its newline included. */
export const maximumRequest = 64 << 10;

/** The groups of verbs that `plasma serve --allow` knows beside the verbs themselves. */
export const verbGroups = {
  store: ["hello", "store", "commit", "abort"],
  read: ["hello", "list", "fetch", "verify"],
  rotate: ["hello", "rotate"],
  receive: ["hello", "receive", "commit", "abort"],
} as const;

/** The name of a verb. */
export type VerbName = (typeof verbGroups)[keyof typeof verbGroups][number];

export const verbNames: readonly VerbName[] = [...new Set(Object.values(verbGroups).flat())];

/** How an error travels. */
export interface WireError {
  readonly code: string;
  readonly stage: string;
  readonly message: string;
  readonly remedy?: string;
}

/** Who asked cannot be told any more, or not all of it: only the exit status says so. */
export class BrokenOff extends Error {
  override readonly name = "BrokenOff";
}

/** The answer to a request that was granted, as one line. */
export function formatAnswer(result: object): string {
  return JSON.stringify({ protocol: protocolVersion, ok: true, ...result }) + "\n";
}

/** How every such answer begins. */
export const grantedStart = JSON.stringify({ protocol: protocolVersion, ok: true }).slice(0, -1);

/** The answer to a request that failed or was refused, as one line. */
export function formatRefusal(error: PlasmaError): string {
  const { code, stage, message, remedy } = error;
  const wire: WireError = { code, stage, message, ...(remedy === undefined ? {} : { remedy }) };
  return JSON.stringify({ protocol: protocolVersion, ok: false, error: wire }) + "\n";
}

/**
 * Read the line of a request, and keep what was read beyond it.
 *
 * @throws {PlasmaError} if there is none within the time and the size that a request may have
 */
export async function readRequest(
  read: (buffer: Uint8Array) => Promise<number | null>,
  timeoutMs: number,
): Promise<{ line: string; rest: Uint8Array }> {
  const buffer = new Uint8Array(maximumRequest);
  let length = 0;
  const { promise: timeout, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new PlasmaError("storage", "no request came in time", { code: "timeout" })),
    timeoutMs,
  );
  try {
    for (;;) {
      const count = await Promise.race([read(buffer.subarray(length)), timeout]);
      if (count === null) {
        throw new PlasmaError("storage", "the input ended before a request", { code: "protocol" });
      }
      const end = buffer.subarray(0, length + count).indexOf(10, length);
      length += count;
      if (end >= 0) {
        const line = new TextDecoder().decode(buffer.subarray(0, end));
        return { line, rest: buffer.slice(end + 1, length) };
      }
      if (length === buffer.length) {
        throw new PlasmaError("storage", "the request is too long", { code: "protocol" });
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
