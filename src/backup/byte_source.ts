import type { Source } from "../strategies/mod.ts";
import { Pipeline } from "../system/pipeline.ts";

/** Where the bytes of one attempt come from. */
export interface ByteSource extends AsyncDisposable {
  /** A file or a pipe. */
  readonly path: string;
  /** The reader has opened the path. */
  onOpen(): void;
  /**
   * All bytes have been read: were these all?
   *
   * @returns warnings
   * @throws {PlasmaError} if the archive is not complete
   */
  finish(): Promise<readonly string[]>;
  /** Stop producing at once. */
  kill(): void;
}

/** Start to produce the archive of an open source. */
export async function produce(source: Source, folder: string): Promise<ByteSource> {
  const { command } = source;
  if (command === undefined) return fileSource("/dev/null");
  const judge = (...[exit, messages]: Parameters<Source["judge"]>) => source.judge(exit, messages);
  return await Pipeline.start([{ command, judge }], folder);
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
