import * as v from "valibot";
import { type Label, labels } from "../rotation/archive_name.ts";
import type { Policy } from "../rotation/policy.ts";
import { parseDuration } from "./values.ts";

/** The schema of a storage folder's `plasma-rotate.json`. */

/** The name of the policy file in a storage folder. */
export const policyFileName = "plasma-rotate.json";

const expectedCount = "a whole number of archives, 0 or more";

const count = v.optional(v.pipe(
  v.number(expectedCount),
  v.integer(expectedCount),
  v.minValue(0, expectedCount),
  v.maxValue(1_000_000, "a whole number of archives, at most 1000000"),
));

const expectedAge = 'a duration such as "14d"';

const entries = {
  hourly: count,
  daily: count,
  weekly: count,
  monthly: count,
  yearly: count,
  keepWithin: v.optional(v.pipe(
    v.string(expectedAge),
    v.check((text) => parseDuration(text) !== undefined, expectedAge),
  )),
};

const someCount = `at least one of ${labels.join(", ")} above 0`;

export const policySchema = v.pipe(
  v.object({
    policy: v.pipe(
      v.object(entries, 'an object such as {"daily": 5, "weekly": 3, "monthly": 2}'),
      v.check((policy) => labels.some((label) => (policy[label] ?? 0) > 0), someCount),
    ),
  }, 'an object such as {"policy": {"daily": 5, "weekly": 3, "monthly": 2}}'),
  v.transform(({ policy }): Policy => {
    const counts: Partial<Record<Label, number>> = {};
    for (const label of labels) {
      const count = policy[label];
      if (count !== undefined) counts[label] = count;
    }
    return { counts, keepWithinSeconds: parseDuration(policy.keepWithin ?? "0s")! };
  }),
);

/**
 * What a new storage folder gets: some six months of history in 21 to 23 archives. `keepWithin` is twice
 * what the dailies reach: nobody looks at backups every day, and until a stolen key or a bad night
 * is noticed nothing of these two weeks may be gone.
 */
export const defaultPolicyText = `{
  // How many archives are kept of each label; also: "hourly" and "yearly". "daily": 7 keeps the
  // newest 7, and the first one of each of the newest 7 days that have any; so with weeks and months.
  // Nothing younger than "keepWithin" is ever deleted, however many archives are added: so long
  // you have to notice a stolen key, or backups that hold less than they should.
  "policy": { "daily": 7, "weekly": 4, "monthly": 6, "keepWithin": "14d" }
}
`;
