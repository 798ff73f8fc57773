import { identityOf, readSubvolumeIds } from "../btrfs/subvolumes.ts";
import { describeError, PlasmaError } from "../errors.ts";
import { sendStage } from "../btrfs/send.ts";
import { makePrivateFolder } from "../system/durable.ts";
import { Producer } from "../system/pipeline.ts";
import { run } from "../system/process.ts";
import { transfer } from "../system/pump_worker.ts";
import { PipeFolder } from "../system/runtime_folder.ts";
import { storedTarStage } from "../restore/stored_tar.ts";
import type { StorageFolder } from "./folder.ts";
import { type Manifest, readManifest, readSummary, type SubvolumeRecord } from "./manifest.ts";
import type { Download, Verdict, VerifyOptions } from "./mod.ts";
import { removeSubvolumeFolder } from "./remove_subvolumes.ts";

/** Archives of the strategy btrfs-send: folders with received subvolumes, see manifest.ts. */

/** The manifest of an archive. Throws if it is no archive. */
export function openManifest(folder: StorageFolder, name: string): Manifest {
  const manifest = readManifest(`${folder.path}/${name}`);
  if (manifest !== undefined) return manifest;
  throw noArchive(name);
}

const noArchive = (name: string) =>
  new PlasmaError("storage", `there is no archive ${name}, or it is not complete`, {
    code: "no-archive",
    remedy: "see plasma list",
  });

/** What is wrong with a stored subvolume; undefined if it is what was received. */
async function problemOf(stored: string, record: SubvolumeRecord): Promise<string | undefined> {
  const ids = await readSubvolumeIds(stored);
  if (!ids.readOnly) return `${record.name} is not read-only any more`;
  if (ids.receivedUuid === undefined || identityOf(ids) !== record.identity) {
    return `${record.name} is not what was received: its uuid is another one`;
  }
  return undefined;
}

/**
 * Delete an archive. It is first taken out of the folder, by one rename: an archive that is deleted in
 * part is never seen there.
 */
export async function deleteSubvolumeArchive(folder: StorageFolder, name: string): Promise<void> {
  if (readSummary(`${folder.path}/${name}`) === undefined) throw noArchive(name);
  makePrivateFolder(folder.trash);
  const doomed = `${folder.trash}/${name}`;
  await removeSubvolumeFolder(doomed);
  Deno.renameSync(`${folder.path}/${name}`, doomed);
  await removeSubvolumeFolder(doomed);
}

/** Delete what a rotation that was killed has left. */
export async function emptyTrash(folder: StorageFolder): Promise<void> {
  await removeSubvolumeFolder(folder.trash);
}

/** Read an archive as a tar with the original paths, made while it is read. */
export async function downloadSubvolumes(
  folder: StorageFolder,
  name: string,
  pipes: string,
): Promise<Download> {
  const { subvolumes } = openManifest(folder, name);
  const stage = storedTarStage(`${folder.path}/${name}`, subvolumes, pipes);
  const producer = await Producer.start([stage], pipes);
  return {
    get path() {
      return producer.path;
    },
    bytes: undefined,
    sha256: undefined,
    headerLimit: undefined,
    onOpen: () => producer.onOpen(),
    kill: () => producer.kill(),
    async finish() {
      await producer.finish();
      return undefined;
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}

/**
 * Check an archive: each subvolume is read-only and the one that was received, and no scrub has found
 * errors on the filesystem; with `deep` all data are read, which btrfs compares with its checksums.
 */
export async function verifySubvolumes(
  folder: StorageFolder,
  name: string,
  { deep, signal }: VerifyOptions,
): Promise<Pick<Verdict, "state" | "detail">> {
  const { subvolumes } = openManifest(folder, name);
  try {
    for (const record of subvolumes) {
      signal?.throwIfAborted();
      const stored = `${folder.path}/${name}/${record.name}`;
      const problem = await problemOf(stored, record);
      if (problem !== undefined) return { state: "damaged", detail: problem };
      if (deep) await readThrough(stored, signal);
    }
    const scrub = await scrubStatus(folder.path);
    if (scrub.hasErrors) return { state: "damaged", detail: `btrfs scrub: ${scrub.text}` };
    const read = deep ? "all data read" : "data not read (see --deep)";
    const detail =
      `${subvolumes.length} subvolumes read-only and as received; ${read}; ${scrub.text}`;
    return { state: "ok", detail };
  } catch (error) {
    return { state: "damaged", detail: describeError(error) };
  }
}

async function readThrough(stored: string, signal: AbortSignal | undefined): Promise<void> {
  await using pipes = await PipeFolder.make();
  const order = { snapshot: stored, parent: undefined, cloneSources: [], compressedData: false };
  await using producer = await Producer.start([sendStage(order)], pipes.path);
  const end = () => producer.kill();
  signal?.addEventListener("abort", end);
  const hooks = { onOpen: () => producer.onOpen(), onProgress() {} };
  await transfer({ source: producer.path }, hooks, signal)
    .finally(() => signal?.removeEventListener("abort", end));
  await producer.finish();
}

async function scrubStatus(path: string): Promise<{ hasErrors: boolean; text: string }> {
  const { exit, stdout } = await run({ program: "btrfs", args: ["scrub", "status", path] });
  const text = new TextDecoder().decode(stdout);
  if (exit.code !== 0 || /no stats available/.test(text)) {
    return { hasErrors: false, text: "never scrubbed" };
  }
  const summary = /^Error summary:\s*(.*)$/m.exec(text)?.[1] ?? "";
  const hasErrors = /\b(?:uncorrectable|verify|csum|super|read)=[1-9]/.test(text) &&
    !/Uncorrectable:\s*0\b/.test(text);
  return { hasErrors, text: `last scrub: ${summary || "no summary"}` };
}
