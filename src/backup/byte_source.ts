import type { StreamSource } from "../strategies/mod.ts";
import type { Filter } from "../filters/mod.ts";
import { MemberList } from "./member_list.ts";
import { Producer } from "../system/pipeline.ts";
import type { Transfer } from "../system/pump.ts";
import type { FileIdentity } from "../system/same_file.ts";

/** Where the bytes of one attempt come from. */
export interface ByteSource extends AsyncDisposable {
  /** A file or a pipe. */
  readonly path: string;
  /** No other file than this one may be read at the path. */
  readonly file?: FileIdentity;
  /** The reader has opened the path. */
  onOpen(): void;
  /**
   * All bytes have been read: were these all?
   *
   * @param moved what was read
   * @returns warnings
   * @throws {PlasmaError} if the archive is not complete
   */
  finish(moved: Transfer): Promise<readonly string[]>;
  /** Stop producing at once. */
  kill(): void;
}

/**
 * Start to produce the archive of an open source.
 *
 * @param filters compression and encryption, in this order
 */
export async function produce(
  source: StreamSource,
  filters: readonly Filter[],
  folder: string,
): Promise<ByteSource> {
  const { command, counter, sort } = source;
  const encoders = filters.map(({ encoder }) => encoder);
  if (command === undefined && encoders.length === 0) return fileSource("/dev/null");
  const judge = source.judge.bind(source);
  if (command === undefined) return await Producer.start(encoders, folder);
  if (counter === undefined) {
    return await Producer.start([{ command, judge, sort }, ...encoders], folder);
  }
  const list = await MemberList.begin(counter, folder);
  try {
    const listing = { ...command, args: [...command.args, ...list.flags] };
    const producer = await Producer.start([{ command: listing, judge, sort }, ...encoders], folder);
    return withList(producer, list);
  } catch (error) {
    list[Symbol.dispose]();
    throw error;
  }
}

/** The same bytes; when they have come to their end, the whole list was counted. */
function withList(producer: Producer, list: MemberList): ByteSource {
  return {
    path: producer.path,
    onOpen: () => producer.onOpen(),
    kill: () => producer.kill(),
    async finish() {
      const warnings = await producer.finish();
      list.finish();
      return warnings;
    },
    async [Symbol.asyncDispose]() {
      await producer[Symbol.asyncDispose]();
      list[Symbol.dispose]();
    },
  };
}

/** The bytes of a file. */
export function fileSource(path: string): ByteSource {
  return {
    path,
    onOpen() {},
    finish: () => Promise.resolve([]),
    kill() {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
