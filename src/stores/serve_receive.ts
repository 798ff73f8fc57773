import fs from "node:fs";
import * as v from "valibot";
import { PlasmaError, reasonOf } from "../errors.ts";
import type { LocalStore } from "./local.ts";
import { ordersSchema } from "./manifest.ts";
import type { Received, ReceiveOrder } from "./mod.ts";
import { formatAnswer, type Request } from "./protocol.ts";
import type { Streams } from "./server.ts";
import type { UploadLimits } from "./upload_limits.ts";

/** The list of the orders must go on coming within so many milliseconds. */
const patienceMs = 60_000;

/** Receive subvolumes: the list, our word that we are ready, the streams. */
export async function serveReceive(
  store: LocalStore,
  { run, stream, orders: bytes }: Extract<Request, { verb: "receive" }>,
  { input, prefix, answer, onUpload }: Streams,
  limits: UploadLimits = {},
): Promise<Received> {
  await store.requireFolder();
  const orders = parseOrders(await readExactly(input, prefix, bytes));
  // Nothing of the streams has been taken: `btrfs receive` reads them from our own input.
  await using reception = await store.receiveWith({ input, limits }, run, { stream, orders });
  onUpload();
  await answer(formatAnswer({ ready: true }));
  return await reception.finish();
}

function parseOrders(bytes: Uint8Array): ReceiveOrder[] {
  try {
    return v.parse(ordersSchema, JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    throw protocolError("the list of subvolumes is missing or wrong");
  }
}

/** Read so many bytes and nothing beyond them; `prefix` has been read before. */
async function readExactly(file: number, prefix: Uint8Array, size: number): Promise<Uint8Array> {
  if (prefix.length > size) throw protocolError("streams came before the storage was ready");
  const bytes = new Uint8Array(size);
  bytes.set(prefix);
  for (let length = prefix.length; length < size;) {
    const count = await read(file, bytes.subarray(length)).catch((error) => {
      if (error instanceof PlasmaError) throw error;
      throw new PlasmaError("storage", `cannot read the list: ${reasonOf(error)}`);
    });
    if (count === 0) throw protocolError("the input ended within the list of subvolumes");
    length += count;
  }
  return bytes;
}

async function read(file: number, buffer: Uint8Array): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const late = () =>
    reject(new PlasmaError("storage", "no list came in time", { code: "timeout" }));
  const timer = setTimeout(late, patienceMs);
  try {
    fs.read(file, buffer, 0, buffer.length, null, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  } catch (error) {
    reject(error);
  }
  return await promise.finally(() => clearTimeout(timer));
}

const protocolError = (message: string) =>
  new PlasmaError("storage", `not a request of Plasma's protocol: ${message}`, {
    code: "protocol",
    remedy: "install the same version of plasma on both machines",
  });
