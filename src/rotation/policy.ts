import type { Label } from "./archive_name.ts";

/** How many archives a storage folder keeps. */
export interface Policy {
  /**
   * For each label the number of its newest archives, and of its newest periods with their first
   * archives, that are kept; labels not named keep all.
   */
  readonly counts: Readonly<Partial<Record<Label, number>>>;
  /** Nothing younger than this many seconds is ever deleted; 0 where the policy does not say. */
  readonly keepWithinSeconds: number;
}
