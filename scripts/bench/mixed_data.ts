import { bash } from "./command.ts";
import type { Folder } from "./data.ts";
import type { Workshop } from "./mod.ts";

/** Half of the files lines of numbers, a quarter random bytes, a quarter zeros; each of 4 MiB. */
const line = 'mkdir "$1"; for ((number = 0; number < $2; number++)); do case $((number % 4)) in ' +
  '0 | 1) seq "$((number * 1000003))" 1000000000 | head -c 4M || true;; ' +
  "2) head -c 4M /dev/urandom;; 3) head -c 4M /dev/zero;; " +
  'esac >"$1/$number"; done; sync; cat "$1"/* >/dev/null';

/** Make files that can be compressed more or less, and read them once. */
export async function makeMixedData({ folder: above, size, signal }: Workshop): Promise<Folder> {
  const folder = `${above}/mixed`;
  const count = Math.max(4, Math.ceil(size / (4 << 20)));
  await bash(line, [folder, String(count)], { signal });
  return { folder, size: count * (4 << 20) };
}
