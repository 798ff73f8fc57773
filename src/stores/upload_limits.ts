import { PlasmaError } from "../errors.ts";
import { TransferError } from "../system/pump_worker.ts";

/** What uploads of one key may take. */
export interface UploadLimits {
  /** Bytes of one upload. */
  readonly maxBytes?: number | undefined;
  /** Uploads in one storage folder that are under way, or wait to be committed. */
  readonly maxUploads?: number | undefined;
  /** An upload of which nothing comes for so long is given up. */
  readonly idleSeconds?: number | undefined;
}

/**
 * Refuse an upload if there are too many besides it.
 *
 * @param count tells how many
 */
export async function requirePlace(
  count: () => Promise<number>,
  { maxUploads }: UploadLimits,
): Promise<void> {
  if (maxUploads === undefined) return;
  const others = await count();
  if (others < maxUploads) return;
  const are = others === 1 ? "1 upload is" : `${others} uploads are`;
  throw new PlasmaError(
    "storage",
    `${are} under way or not committed yet, and this key may have no more (--max-uploads ${maxUploads})`,
    {
      code: "max-uploads",
      remedy: "try again when they are done; those that nobody commits go after ten minutes",
    },
  );
}

/** An upload has more bytes than it may. */
export function tooLarge({ maxBytes }: UploadLimits): PlasmaError {
  return new PlasmaError(
    "storage",
    `the upload is larger than this key may store (--max-size, ${maxBytes} bytes)`,
    { code: "max-size", remedy: "archive less, or raise the limit in authorized_keys there" },
  );
}

/** Why a transfer was broken off, if it was for the sake of a limit. */
export function brokenLimit(error: unknown, limits: UploadLimits): PlasmaError | undefined {
  if (!(error instanceof TransferError)) return undefined;
  if (error.code === "too-large") {
    return tooLarge(limits);
  }
  if (error.code === "idle") {
    return new PlasmaError(
      "storage",
      `the upload was given up: nothing came for ${limits.idleSeconds} s (--idle-timeout)`,
      { code: "idle" },
    );
  }
  return undefined;
}
