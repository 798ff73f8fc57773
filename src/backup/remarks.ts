import type { StoreState } from "../stores/mod.ts";
import { formatBytes } from "../system/progress.ts";

/** What there is to be said of the room for the next archive; nothing if it seems to suffice. */
export function remarksOnRoom({ freeBytes, newestBytes }: StoreState): string[] {
  if (freeBytes === undefined || newestBytes === undefined || freeBytes >= newestBytes) return [];
  const [free, newest] = [formatBytes(freeBytes), formatBytes(newestBytes)];
  return [`only ${free} are free, and the newest archive has ${newest}`];
}

/** What there is to be said of others who use the same folder. */
export function remarksOnOthers({ isShared }: StoreState): string[] {
  if (isShared !== true) return [];
  return [
    "another agent, or another config, stores into this folder too, and each pushes out the " +
    "archives of the other: give each a folder of its own",
  ];
}
