import type { StoreState } from "../stores/mod.ts";
import { formatBytes } from "../system/progress.ts";

/** What there is to be said of the room for the next archive; undefined if it seems to suffice. */
export function describeRoom(
  { freeBytes, newestBytes }: Pick<StoreState, "freeBytes" | "newestBytes">,
): string | undefined {
  if (freeBytes === undefined || newestBytes === undefined || freeBytes >= newestBytes) {
    return undefined;
  }
  return `only ${formatBytes(freeBytes)} are free, and the newest archive has ${
    formatBytes(newestBytes)
  }`;
}
