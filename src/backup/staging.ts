import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { createPrivate, removeIfPresent } from "../system/durable.ts";
import { lockOpenFile } from "../system/lock.ts";
import { joinPath, parentOf } from "../system/paths.ts";
import type { Transfer } from "../system/pump.ts";
import { type FileIdentity, identityOf, isSameAt, openSame } from "../system/same_file.ts";
import { requireTrustedWay } from "../system/trusted.ts";
import type { Sink } from "./attempt.ts";
import type { ByteSource } from "./byte_source.ts";

/** Who looks whether a tempfile is a leftover holds its lock for a moment. */
const lockWaitSeconds = 1;

/** So often another run may take our new file for a leftover before we have locked it. */
const mostTries = 5;

/**
 * Make sure that nobody else can turn the way to a tempfile elsewhere, where we would make a file.
 * Whose the folder at its end is does not matter: what is put there is noticed.
 *
 * @throws {UsageError} that names the part of the way which others could change, and its owner
 */
export function requireTempfileWay(tempfile: string | undefined): void {
  if (tempfile !== undefined) requireTrustedWay(parentOf(tempfile), "config", "tempfile's folder");
}

/** What a name that nobody can foresee ends with. */
const suffix = /\.plasma-[0-9a-f]{16}$/;

/**
 * Where the archive is put down for a `tempfile`: there, or if others can make files in that folder, as
 * in /var/tmp, beside it under a name that nobody can take before us.
 */
export function stagingPath(tempfile: string): string {
  return isThere(parentOf(tempfile)) && isShared(parentOf(tempfile))
    ? `${tempfile}.plasma-${randomBytes(8).toString("hex")}`
    : tempfile;
}

/** True for a sticky folder in which others can make files, but cannot touch ours. */
function isShared(folder: string): boolean {
  const { mode } = lookAt(folder);
  return (mode & 0o1000) !== 0 && (mode & 0o022) !== 0;
}

/** False if hooks may still make it; what else is wrong with it {@link lookAt} says. */
function isThere(folder: string): boolean {
  try {
    return fs.statSync(folder, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

/** @throws {PlasmaError} if it is no folder that can be used */
function lookAt(folder: string): fs.Stats {
  try {
    const found = fs.statSync(folder);
    if (!found.isDirectory()) throw Object.assign(new Error(), { code: "ENOTDIR" });
    return found;
  } catch (error) {
    throw new PlasmaError("staging", `tempfile's folder ${folder}: ${reasonOf(error)}`, {
      cause: error,
      remedy: "make it, or take another path",
    });
  }
}

/**
 * Find out whether a tempfile could be made now, and change nothing.
 *
 * @returns where it would be, in words
 * @throws {UsageError | PlasmaError} that says what is in the way
 */
export async function checkTempfile(tempfile: string): Promise<string> {
  requireTempfileWay(tempfile);
  const folder = parentOf(tempfile);
  if (isShared(folder)) {
    return `${tempfile}.plasma-* can be used: others can make files in ${folder}, so that ` +
      "the name is one that nobody can foresee";
  }
  const found = findLeftover(tempfile);
  if (found !== undefined) {
    const file = openSame(tempfile, fs.constants.O_RDWR, found);
    try {
      if (!await lockOpenFile(file)) throw inUse(tempfile);
    } finally {
      fs.closeSync(file);
    }
  }
  return `${tempfile} can be used`;
}

/**
 * The file in which an archive is put down before it is uploaded: `tempfile` of the config. It is
 * new, mode 0600, never reached through a symbolic link, and locked as long as it is in use. What is
 * uploaded from it is what was written into it, or the upload fails.
 */
export class StagingFile implements Disposable {
  readonly #file: number;
  readonly #identity: FileIdentity;

  private constructor(readonly path: string, file: number) {
    this.#file = file;
    this.#identity = identityOf(file);
  }

  /**
   * Create the file. One that a killed run left there is replaced, as Plasma 1.0 did.
   *
   * @param path see {@link stagingPath}
   * @throws {PlasmaError} if another run uses the file, or something else is in the way
   */
  static async create(path: string): Promise<StagingFile> {
    try {
      await removeForgotten(path);
      for (let tries = 0; tries < mostTries; tries++) {
        await removeLeftover(path);
        const file = createIfAbsent(path);
        if (file === undefined) continue;
        const isLocked = await lockOpenFile(file, lockWaitSeconds);
        if (isLocked && isSameAt(path, identityOf(file))) return new StagingFile(path, file);
        fs.closeSync(file);
      }
    } catch (error) {
      if (error instanceof PlasmaError) throw error;
      throw new PlasmaError("staging", `cannot create tempfile ${path}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
    throw inUse(path);
  }

  /** Where the archive is to be written, from the start. */
  sink(): Sink {
    fs.ftruncateSync(this.#file);
    return {
      sink: this.path,
      sinkFile: this.#identity,
      durable: false,
      onOpen() {},
      kill() {},
      explain: () => Promise.resolve(this.#isThere ? undefined : this.#changed()),
    };
  }

  /**
   * The archive, to be read from its start.
   *
   * @param staged what was written into the file; the source fails at its end if it has given
   * anything else
   */
  source(staged: Transfer): ByteSource {
    return {
      path: this.path,
      file: this.#identity,
      onOpen() {},
      finish: ({ bytes, sha256 }) => {
        const isSame = bytes === staged.bytes && sha256 === staged.sha256;
        return isSame ? Promise.resolve([]) : Promise.reject(this.#changed());
      },
      kill() {},
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  get #isThere(): boolean {
    return isSameAt(this.path, this.#identity);
  }

  #changed(): PlasmaError {
    return new PlasmaError("staging", `another program has changed the tempfile ${this.path}`, {
      remedy: "let nothing else write there, or take another path",
    });
  }

  [Symbol.dispose](): void {
    if (this.#isThere) removeIfPresent(this.path);
    fs.closeSync(this.#file);
  }
}

function createIfAbsent(path: string): number | undefined {
  try {
    return createPrivate(path);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return undefined;
    throw error;
  }
}

/** Remove what killed runs have left under names like this one; what is not ours, or in use, stays. */
async function removeForgotten(path: string): Promise<void> {
  if (!suffix.test(path)) return;
  const folder = parentOf(path);
  const tempfile = path.replace(suffix, "");
  for (const name of fs.readdirSync(folder)) {
    const other = joinPath(folder, name);
    if (other.replace(suffix, "") !== tempfile) continue;
    try {
      await removeLeftover(other);
    } catch {
      // It is in nobody's way.
    }
  }
}

/**
 * What a killed run may have left at the path.
 *
 * @throws {PlasmaError} if it is something else
 */
function findLeftover(path: string): FileIdentity | undefined {
  const found = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isFile() || Number(found.uid) !== Deno.uid()) {
    const what = found.isFile() ? "belongs to somebody else" : "is not a regular file";
    throw new PlasmaError("staging", `tempfile ${path} exists and ${what}`, {
      remedy: "remove it, or take another path",
    });
  }
  return found;
}

/** Remove a file of ours that no run uses any more. */
async function removeLeftover(path: string): Promise<void> {
  const found = findLeftover(path);
  if (found === undefined) return;
  const file = openSame(path, fs.constants.O_RDWR, found);
  try {
    if (!await lockOpenFile(file)) throw inUse(path);
    if (isSameAt(path, found)) removeIfPresent(path);
  } finally {
    fs.closeSync(file);
  }
}

function inUse(path: string): PlasmaError {
  return new PlasmaError("staging", `another run uses the tempfile ${path}`, {
    remedy: "give each config a tempfile of its own",
  });
}
