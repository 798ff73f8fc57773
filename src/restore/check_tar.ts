import { describeError, PlasmaError } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { parseArchiveName } from "../rotation/archive_name.ts";
import type { Download, Verdict } from "../stores/mod.ts";
import { NamedPipe } from "../system/named_pipe.ts";
import { Consumer, type Stage } from "../system/pipeline.ts";
import type { PumpResult } from "../system/pump.ts";
import { transfer } from "../system/pump_worker.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import { listStage } from "./extract.ts";
import { readArchive, type ReadResult } from "./read_archive.ts";

/**
 * Read an archive through, to the last member: decrypt, decompress, and let tar look at each header.
 *
 * @param identity the file with the secret key, for an encrypted archive
 */
export async function checkTar(
  download: Download,
  name: string,
  identity: string | undefined,
): Promise<Pick<Verdict, "state" | "detail">> {
  const decoders = await openDecoders(parseArchiveName(name)!.kind, identity);
  await using folder = await PipeFolder.make();
  try {
    const { read, plain } = await readThrough(download, decoders, folder.path);
    if (read.isAsStored === false) {
      return {
        state: "damaged",
        detail: `its SHA-256 is ${read.sha256}, not ${read.expected} as when stored`,
      };
    }
    // What the strategy noop stores has no bytes at all.
    if (plain.bytes > 0 && !plain.framedLikeTar) {
      return { state: "damaged", detail: "the tar in it is not complete" };
    }
    // The tar may be whole, and yet not what was stored.
    if (read.isAsStored === undefined) {
      return {
        state: "no checksum",
        detail: "read through, but no checksum says how it was stored",
      };
    }
    return { state: "ok", detail: "SHA-256 as when stored, and read through" };
  } catch (error) {
    if (!(error instanceof PlasmaError) || error.code === "connection") throw error;
    return { state: "damaged", detail: `cannot be read through: ${describeError(error)}` };
  }
}

/** What came of the archive, and of the tar in it. */
interface ReadThrough {
  readonly read: ReadResult;
  readonly plain: PumpResult;
}

async function readThrough(
  download: Download,
  decoders: readonly Stage[],
  folder: string,
): Promise<ReadThrough> {
  await using tar = await Consumer.start([listStage([])], folder, "ignore");
  if (decoders.length === 0) {
    const read = await readArchive(download, tar, () => {});
    if (read.bytes > 0) await tar.finish();
    return { read, plain: read };
  }
  const [pipe] = await NamedPipe.make(folder, ["plain"]);
  using middle = pipe!;
  using end = middle.open("w");
  await using decoding = await Consumer.start(decoders, folder, end.file);
  end[Symbol.dispose]();
  const [read, plain] = await Promise.all([
    readArchive(download, decoding, () => {}),
    transfer({ source: middle.path, sink: tar.path, drain: true }, {
      onOpen() {
        middle.release();
        tar.onOpen();
      },
      onProgress() {},
    }),
  ]);
  // Damage to the archive explains whatever the programs complain of.
  if (read.isAsStored === false) return { read, plain };
  await decoding.finish();
  if (plain.bytes > 0) await tar.finish();
  return { read, plain };
}
