import fs from "node:fs";
import * as v from "valibot";
import { PlasmaError, reasonOf } from "../errors.ts";
import type { LocalStore } from "./local.ts";
import { maximumSubvolumes, ordersSchema } from "./manifest.ts";
import type { Received, ReceiveOrder } from "./mod.ts";
import { formatAnswer, type Request } from "./protocol.ts";
import type { Streams } from "./server.ts";
import type { UploadLimits } from "./upload_limits.ts";

/** So long each MiB of the list of the orders may take, in milliseconds. */
const patienceMs = 60_000;

/** Receive subvolumes: the list, our word that we are ready, the streams. */
export async function serveReceive(
  store: LocalStore,
  { run, stream, orders: bytes }: Extract<Request, { verb: "receive" }>,
  { input, prefix, answer, places }: Streams,
  limits: UploadLimits = {},
): Promise<Received & { readonly count: number }> {
  // Nothing of the streams is taken with the list: `btrfs receive` reads them from our own input.
  const readBatch = async () => {
    const deadline = performance.now() + patienceMs * Math.ceil(bytes / (1 << 20));
    const list = await places.whileOthersWork(() => readExactly(input, prefix, bytes, deadline));
    return { stream, orders: parseOrders(list) };
  };
  await using reception = await store.receiveWith({ input, limits }, run, readBatch);
  places.giveBack();
  await answer(formatAnswer({ ready: true }));
  const received = await reception.finish();
  return { count: reception.wanted.orders.length - received.missing.length, ...received };
}

/** More than that are in no list: of each order its beginning, and what follows each of its values. */
const mostMarks = 10 * maximumSubvolumes;

/** A few bytes can make a value that takes a hundred times as many: such a list is not even parsed. */
function parseOrders(bytes: Uint8Array): ReceiveOrder[] {
  try {
    if (countMarks(bytes) > mostMarks) throw new Error("too many values");
    const value = JSON.parse(new TextDecoder().decode(bytes));
    return v.parse(ordersSchema, value, { abortEarly: true });
  } catch {
    throw protocolError("the list of subvolumes is missing or wrong");
  }
}

/** How many values a text of JSON has at most, and no fewer than it has: "[", "{" and "," begin one. */
function countMarks(bytes: Uint8Array): number {
  let marks = 0;
  let isText = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === 0x22) isText = !isText;
    else if (isText && byte === 0x5c) index++;
    else if (!isText && (byte === 0x5b || byte === 0x7b || byte === 0x2c)) marks++;
  }
  return marks;
}

/**
 * Read so many bytes and nothing beyond them; `prefix` has been read before.
 *
 * @param deadline by performance.now()
 */
async function readExactly(
  file: number,
  prefix: Uint8Array,
  size: number,
  deadline: number,
): Promise<Uint8Array> {
  if (prefix.length > size) throw protocolError("streams came before the storage was ready");
  const bytes = new Uint8Array(size);
  bytes.set(prefix);
  for (let length = prefix.length; length < size;) {
    const count = await read(file, bytes.subarray(length), deadline).catch((error) => {
      if (error instanceof PlasmaError) throw error;
      throw new PlasmaError("storage", `cannot read the list: ${reasonOf(error)}`);
    });
    if (count === 0) throw protocolError("the input ended within the list of subvolumes");
    length += count;
  }
  return bytes;
}

async function read(file: number, buffer: Uint8Array, deadline: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const late = () =>
    reject(new PlasmaError("storage", "no list came in time", { code: "timeout" }));
  const timer = setTimeout(late, Math.max(0, deadline - performance.now()));
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
