import { PlasmaError } from "../errors.ts";
import { run } from "../system/process.ts";
import type { ReceiveOrder } from "./mod.ts";

/** How many subvolumes one shell copies. */
const batch = 500;

/**
 * Copy subvolumes that are stored already to where others arrive: the same snapshots, not sent again.
 *
 * @param stored where they lie, by identity, see findStoredSubvolumes()
 * @throws {PlasmaError} if one of them is not stored
 */
export async function copyStored(
  stored: ReadonlyMap<string, string>,
  orders: readonly ReceiveOrder[],
  target: string,
): Promise<void> {
  const pairs = orders.map(({ identity }, index) => {
    const path = stored.get(identity);
    if (path !== undefined) return [path, `${target}/copy-${index}`];
    throw new PlasmaError("receive", "the subvolume is not stored", { code: "receive" });
  });
  for (let start = 0; start < pairs.length; start += batch) {
    const args = ["-c", script, "sh", ...pairs.slice(start, start + batch).flat()];
    const { exit, messages } = await run({ program: "sh", args });
    if (exit.code === 0) continue;
    throw new PlasmaError("receive", `cannot copy a stored subvolume: ${messages.tail}`, {
      code: "receive",
    });
  }
}

const script = `set -e
while [ $# -gt 0 ]; do
  btrfs --quiet subvolume snapshot -r -- "$1" "$2"
  shift 2
done`;
