import fs from "node:fs";
import { isEncrypted } from "../filters/encryption.ts";
import { isNotFound, reasonOf } from "../errors.ts";
import { isSubvolumeArchive, sidecarSuffix } from "../rotation/archive_name.ts";
import { pump } from "../system/pump.ts";
import { NotRegularError, openRegularFile } from "../system/regular_file.ts";
import { checkTar } from "../restore/check_tar.ts";
import type { StorageFolder } from "./folder.ts";
import { appendToJournal } from "./journal.ts";
import { type LocalArchive, openArchive } from "./local_download.ts";
import { readManifest, readSummary, streamBytes } from "./manifest.ts";
import type { Verdict, VerifyOptions } from "./mod.ts";
import { readSidecar } from "./sidecar.ts";
import { isNews } from "./verifications.ts";

/** Compare an archive with its sidecar, and with `deep` read it through; noted in the journal. */
export async function verifyArchive(
  folder: StorageFolder,
  name: string,
  options: VerifyOptions,
): Promise<Verdict> {
  const { deep, signal } = options;
  const verdict = isSubvolumeArchive(name)
    ? await judgeSubvolumes(folder, name, options)
    : await judgeFile(openArchive(folder, name), name, options);
  signal?.throwIfAborted();
  const { state } = verdict;
  // What is encrypted has not been read through here.
  const isDeep = deep && !isEncrypted(name);
  if (isNews(folder.journal, name, state, isDeep)) {
    appendToJournal(folder.journal, [{ event: "verified", archive: name, state, deep: isDeep }]);
  }
  return verdict;
}

type Judgement = Pick<Verdict, "state" | "detail">;

async function judgeSubvolumes(
  folder: StorageFolder,
  name: string,
  options: VerifyOptions,
): Promise<Verdict> {
  const { openManifest, verifySubvolumes } = await import("./subvolume_archive.ts");
  const path = `${folder.path}/${name}`;
  const summary = readSummary(path);
  if (summary !== undefined && readManifest(path) === undefined) {
    const detail = "its manifest is wrong, or names subvolumes that are not there";
    return { name, bytes: summary.bytes, state: "damaged", detail };
  }
  const bytes = streamBytes(openManifest(folder, name));
  return { name, bytes, ...await verifySubvolumes(folder, name, options) };
}

async function judgeFile(
  archive: LocalArchive,
  name: string,
  options: VerifyOptions,
): Promise<Verdict> {
  return { name, bytes: archive.bytes, ...await judge(archive, name, options) };
}

async function judge(
  archive: LocalArchive,
  name: string,
  { deep, timeoutSeconds, signal }: VerifyOptions,
): Promise<Judgement> {
  const { path, sha256 } = archive;
  if (sha256 === undefined) return unreadable(path, name) ?? withoutChecksum(path, name);
  const found = await hashFile(path, signal);
  if (typeof found !== "string") return found;
  if (found !== sha256) {
    return { state: "damaged", detail: `its SHA-256 is ${found}, not ${sha256} as when stored` };
  }
  if (!deep) return { state: "ok", detail: "SHA-256 as when stored" };
  if (isEncrypted(name)) {
    return {
      state: "ok",
      detail: "SHA-256 as when stored; encrypted, so not read through without --identity",
    };
  }
  const { bytes } = archive;
  return await checkTar(archive, { name, bytes }, undefined, { timeoutSeconds, signal });
}

/** A missing checksum is not "ok": nobody knows whether the archive is whole. */
function withoutChecksum(path: string, name: string): Judgement {
  const other = readSidecar(path + sidecarSuffix)?.name;
  const detail = other === undefined || other === name
    ? `there is no ${name}${sidecarSuffix} that says how it was stored`
    : `its checksum file belongs to ${other}`;
  return { state: other === undefined || other === name ? "no checksum" : "damaged", detail };
}

/** What may not be read, the archive or its checksum, is not "without a checksum". */
function unreadable(path: string, name: string): Judgement | undefined {
  for (const file of [path, path + sidecarSuffix]) {
    try {
      fs.closeSync(openRegularFile(file));
    } catch (error) {
      if (isNotFound(error) || error instanceof NotRegularError) continue;
      const what = file === path ? name : `${name}${sidecarSuffix}`;
      return { state: "unreadable", detail: `cannot read ${what}: ${reasonOf(error)}` };
    }
  }
  return undefined;
}

async function hashFile(
  path: string,
  signal: AbortSignal | undefined,
): Promise<string | Judgement> {
  try {
    const file = openRegularFile(path);
    try {
      return (await pump(file, undefined, { signal })).sha256;
    } finally {
      fs.closeSync(file);
    }
  } catch (error) {
    return { state: "unreadable", detail: reasonOf(error) };
  }
}
