import * as v from "valibot";
import { parseArchiveName } from "../rotation/archive_name.ts";

/**
 * What a storage host may answer. It is another machine, which may be broken or in the wrong hands:
 * names are those of archives and nothing else, sizes are sizes, and no text is endless. What is to be
 * shown of it is escaped where it is shown.
 */

export const byteCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const archiveName = v.pipe(
  v.string(),
  v.maxLength(100),
  v.check((name) => parseArchiveName(name) !== undefined),
);
/** For people. */
const words = v.pipe(v.string(), v.maxLength(10_000));
/** Of whatever lies in a folder. */
const fileName = v.pipe(v.string(), v.nonEmpty(), v.maxLength(255));
const foreign = v.array(fileName);
const uuid = v.pipe(v.string(), v.regex(/^[0-9a-f-]{36}$/));

export const helloAnswer = v.object({
  newestBytes: v.optional(byteCount),
  freeBytes: v.optional(byteCount),
  isShared: v.optional(v.boolean()),
  allow: v.pipe(v.array(v.pipe(v.string(), v.maxLength(20))), v.maxLength(100)),
  subvolumes: v.optional(v.object({ identities: v.array(uuid), compressedData: v.boolean() })),
});

export const readyAnswer = v.object({ ready: v.literal(true) });

/**
 * Which of the subvolumes have not come, by their indexes, why the first of them has not, and whether it
 * ended the stream.
 */
export const receivedAnswer = v.object({
  missing: v.array(byteCount),
  refusal: v.optional(words),
  isCut: v.optional(v.boolean()),
});

export const commitAnswer = v.object({ name: archiveName, problem: v.optional(words) });

export const verifyAnswer = v.object({
  name: archiveName,
  state: v.picklist(["ok", "damaged", "no checksum", "unreadable"]),
  detail: words,
  bytes: byteCount,
});

const listedArchive = v.pipe(
  v.object({
    name: archiveName,
    time: v.string(),
    label: v.string(),
    kind: v.string(),
    bytes: byteCount,
    state: v.picklist(["complete", "no checksum", "dated in the future"]),
    verified: v.optional(v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/))),
    finding: v.optional(v.picklist(["damaged", "no checksum", "unreadable"])),
  }),
  v.check(({ name, time, label, kind }) => {
    const parts = parseArchiveName(name);
    return label === parts?.label && kind === parts.kind &&
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(time) && time.replaceAll(/\D/g, "") === parts.stamp;
  }),
);

export const listAnswer = v.object({
  archives: v.array(listedArchive),
  foreign,
  problem: v.optional(words),
});

export const rotateAnswer = v.object({
  folder: v.pipe(v.string(), v.maxLength(4096)),
  decisions: v.array(v.object({ name: archiveName, keep: v.boolean(), reason: words })),
  deleted: v.array(archiveName),
  failed: v.array(v.object({ name: archiveName, error: words })),
  future: v.array(archiveName),
  foreign,
});
