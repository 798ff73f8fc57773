import { bash } from "./command.ts";
import type { Workshop } from "./mod.ts";

/** A folder to archive. */
export interface Folder {
  readonly folder: string;
  readonly size: number;
}

/** A folder to archive, and one in it with a quarter of the bytes. */
export interface Data extends Folder {
  readonly quarter: Folder;
}

const fileSize = 16 << 20;

/**
 * Make files of random bytes, as many as the workshop says, and read them once: from now on they
 * are in the page cache, if there is memory enough.
 */
export async function makeData({ folder: above, size, signal }: Workshop): Promise<Data> {
  const folder = `${above}/data`;
  const quarter = { folder: `${folder}/quarter`, size: Math.floor(size / 4) };
  await Deno.mkdir(quarter.folder, { recursive: true });
  const block = new Uint8Array(fileSize);
  for (let offset = 0, number = 0; offset < size; offset += fileSize, number++) {
    signal.throwIfAborted();
    for (let from = 0; from < fileSize; from += 65536) {
      crypto.getRandomValues(block.subarray(from, from + 65536));
    }
    const place = offset < quarter.size ? quarter.folder : folder;
    const bytes = block.subarray(0, Math.min(fileSize, size - offset));
    await Deno.writeFile(`${place}/${String(number).padStart(5, "0")}`, bytes);
  }
  await bash('find "$1" -type f -exec cat {} + >/dev/null; sync', [folder], { signal });
  return { folder, size, quarter };
}
