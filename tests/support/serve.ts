import { createHash } from "node:crypto";
import { plasma } from "./plasma.ts";

/** What `plasma serve` answered to one request. */
export interface Answer {
  readonly code: number;
  readonly ok: boolean;
  readonly answer: Record<string, unknown>;
  /** The error's message; empty if there was none. */
  readonly message: string;
}

/**
 * Say something to `plasma serve` on its standard input; it must answer with one line of JSON, which
 * raw bytes follow only if an archive is fetched. A program that hangs is ended, and the test fails.
 */
export async function serve(input: string | Uint8Array, flags: string[] = []): Promise<Answer> {
  const { code, stdout, stderr } = await plasma(["serve", ...flags], {
    stdin: input,
    through: ["timeout", "--kill-after=1", "30"],
    environment: { SSH_ORIGINAL_COMMAND: "plasma rotate /; rm -rf /nowhere" },
  });
  const lines = stdout.split("\n");
  const hasBytes = stdout.startsWith('{"protocol":1,"ok":true,"bytes"') &&
    /"fetch"/.test(String(input));
  if (lines.length !== 2 || (lines[1] !== "" && !hasBytes)) {
    throw new Error(`not one line of answer but ${JSON.stringify(stdout)}, ${stderr}`);
  }
  const answer = JSON.parse(lines[0]!);
  return { code, ok: answer.ok, answer, message: answer.error?.message ?? "" };
}

/** A request in the protocol, with the bytes that follow it. */
export function request(verb: string, parameters: object, body = ""): string {
  return JSON.stringify({ protocol: 1, verb, ...parameters }) + "\n" + body;
}

/** What the agent claims of an upload. */
export function claimOf(content: string) {
  const bytes = new TextEncoder().encode(content);
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** The id of a run of another machine, as agents make them. */
export function runId(number = 1, target = "89abcdef"): string {
  return `20261123T084405Z-01234567-${target}-${number.toString(16).padStart(8, "0")}`;
}
