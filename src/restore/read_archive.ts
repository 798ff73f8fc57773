import { PlasmaError } from "../errors.ts";
import type { Download } from "../stores/mod.ts";
import { transfer, TransferError, type TransferResult } from "../system/pump_worker.ts";

/** Where the bytes of an archive go. */
export interface ReadSink {
  readonly path: string;
  onOpen(): void;
}

/** What reading an archive to its end has shown. */
export interface ReadResult extends TransferResult {
  /** Whether the bytes were those that were stored; undefined if no checksum was recorded. */
  readonly isAsStored: boolean | undefined;
  /** The SHA-256 that was recorded. */
  readonly expected: string | undefined;
}

/**
 * Give all bytes of an archive to a sink. A sink that ends early does not end the reading: only the
 * checksum of the whole archive tells whether it is what was stored.
 *
 * @throws {PlasmaError} if the archive could not be read to its end
 */
export async function readArchive(
  download: Download,
  sink: ReadSink,
  onProgress: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<ReadResult> {
  let result: TransferResult;
  try {
    result = await transfer({
      source: download.path,
      sourceFile: download.file,
      sink: sink.path,
      drain: true,
      headerLimit: download.headerLimit,
      headerStart: download.headerStart,
    }, {
      onOpen() {
        download.onOpen();
        sink.onOpen();
      },
      onProgress,
    }, signal);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    throw new PlasmaError("restore", `cannot ${error.side}: ${error.message}`, { cause: error });
  }
  const expected = await download.finish(result.header, result.bytes);
  const isAsStored = expected === undefined ? undefined : expected === result.sha256;
  return { ...result, expected, isAsStored };
}
