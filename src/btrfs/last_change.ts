import type { Snapshot } from "./snapshots.ts";
import { runInTop } from "./tops.ts";

/**
 * Reads names of snapshots; says of each its name and the beginning of its stream. Of a whole stream
 * that is much the same whatever the subvolume holds, and soon there.
 */
const script = `
xargs -0 -r -n 1 -P 8 sh -c '
  words=$(btrfs send --quiet --no-data -- "$snapshots/$1" 2>/dev/null | head -c 512 |
    od -An -v -tx1 | tr -d " \\n")
  printf "%s %s\\0" "$1" "$words"' sh
`;

/**
 * The transactions in which what snapshots of one filesystem hold was changed last, by their names: the
 * list of `btrfs` says only when the snapshots were taken, the stream of `btrfs send` begins with it
 * (ctransid, see send_subvol_begin in fs/btrfs/send.c). Without those of which it is not known.
 */
export async function readLastChanges(
  snapshots: readonly Snapshot[],
): Promise<ReadonlyMap<string, number>> {
  const top = snapshots[0]?.top;
  if (top === undefined) return new Map();
  const input = snapshots.map(({ name }) => `${name}\0`).join("");
  const lines = await runInTop(top, script, { input, needsSnapshots: true });
  return new Map(lines.flatMap((line) => {
    const [name, stream] = line.split(" ") as [string, string];
    const transaction = ctransidOf(stream);
    return transaction === undefined ? [] : [[name, transaction]];
  }));
}

const magic = new TextEncoder().encode("btrfs-stream\0");
/** BTRFS_SEND_C_SUBVOL and BTRFS_SEND_A_CTRANSID, see fs/btrfs/send.h. */
const [subvolCommand, ctransidAttribute] = [1, 2];
const [headerSize, commandSize, attributeSize] = [magic.length + 4, 10, 4];

/** What a stream says in its first command; it is given as hexadecimal digits. Pure. */
export function ctransidOf(digits: string): number | undefined {
  const bytes = Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  const view = new DataView(bytes.buffer);
  let at = headerSize + commandSize;
  if (bytes.length < at || !magic.every((byte, index) => bytes[index] === byte)) return undefined;
  if (view.getUint16(headerSize + 4, true) !== subvolCommand) return undefined;
  const end = Math.min(bytes.length, at + view.getUint32(headerSize, true));
  while (at + attributeSize <= end) {
    const [type, length] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    at += attributeSize;
    if (type === ctransidAttribute && length === 8 && at + length <= end) {
      return Number(view.getBigUint64(at, true));
    }
    at += length;
  }
  return undefined;
}
