import { plasmaProgram } from "./plasma.ts";
import type { Answer } from "./serve.ts";

/** What a client says that it will send, see src/stores/protocol.ts. */
export interface Order {
  readonly name: string;
  readonly path?: string;
  readonly identity: string;
  readonly parent?: string;
  readonly copy?: boolean;
}

/**
 * Ask a `plasma serve` to receive subvolumes, and give it the streams when it is ready.
 *
 * @returns its last answer, and whether it was ready
 */
export async function receive(
  { folder, run, orders, stream = "tar", flags = [], through = [] }: {
    folder: string;
    run: string;
    orders: readonly Order[] | string;
    stream?: string;
    flags?: readonly string[];
    through?: readonly string[];
  },
  streams: Uint8Array | AsyncIterable<Uint8Array>,
): Promise<Answer & { readonly wasReady: boolean }> {
  const [program, ...args] = [...through, plasmaProgram, "serve", ...flags];
  const child = new Deno.Command(program!, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    env: { NO_COLOR: "1" },
  }).spawn();
  const list = typeof orders === "string"
    ? orders
    : JSON.stringify(orders.map((order) => ({ path: `/${order.name}`, ...order })));
  const bytes = new TextEncoder().encode(list);
  const request = { protocol: 1, verb: "receive", folder, run, stream, orders: bytes.length };
  const writer = child.stdin.getWriter();
  const lines = linesOf(child.stdout);
  const write = async (chunk: Uint8Array) => await writer.write(chunk).catch(() => {});
  await write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
  await write(bytes);
  const first = JSON.parse((await lines.next()).value ?? "null");
  const wasReady = first?.ready === true;
  if (wasReady) {
    if (streams instanceof Uint8Array) await write(streams);
    else for await (const chunk of streams) await write(chunk);
  }
  await writer.close().catch(() => {});
  const answer = wasReady ? JSON.parse((await lines.next()).value ?? "null") : first;
  for await (const line of lines) throw new Error(`one line too much: ${line}`);
  const { code } = await child.status;
  return { code, ok: answer?.ok, answer, message: answer?.error?.message ?? "", wasReady };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let left = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (left + text).split("\n");
    left = lines.pop()!;
    yield* lines;
  }
  if (left !== "") yield left;
}
