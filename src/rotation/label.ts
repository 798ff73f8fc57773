import { type Label, type Stamp, stampOf } from "./archive_name.ts";
import type { Policy } from "./policy.ts";

/** A calendar period whose first archive is kept longer than the others. */
interface Tier {
  readonly label: Label;
  /** The first day of the period that holds the given day. */
  periodStart(day: Temporal.PlainDate): Temporal.PlainDate;
}

/** From the longest period to the shortest; ISO 8601 weeks begin on Monday. */
const tiers: readonly Tier[] = [
  { label: "yearly", periodStart: (day) => day.with({ month: 1, day: 1 }) },
  { label: "monthly", periodStart: (day) => day.with({ day: 1 }) },
  { label: "weekly", periodStart: (day) => day.subtract({ days: day.dayOfWeek - 1 }) },
];

/**
 * The label of an archive that is committed at `now` (local time of the storage host).
 *
 * It is the label of the longest period of which this archive is the first. An archive is the
 * first of its period when the period has none yet and either the period begins today, as in
 * Plasma 1.0, or the folder was in use before the period began: then the machine was off on the
 * first day. Tiers that the policy does not keep are passed over. Archives dated in the future say
 * nothing about the present and are not looked at.
 *
 * @param existing the stamps of the archives that the folder holds, in any order
 */
export function labelFor(
  now: Temporal.PlainDateTime,
  existing: Iterable<Stamp>,
  policy: Policy,
): Label {
  const nowStamp = stampOf(now);
  let oldest: Stamp | undefined;
  let newest: Stamp | undefined;
  for (const stamp of existing) {
    if (stamp > nowStamp) continue;
    if (oldest === undefined || stamp < oldest) oldest = stamp;
    if (newest === undefined || stamp > newest) newest = stamp;
  }
  const isFirstSince = (start: Temporal.PlainDate) =>
    newest === undefined || newest < stampOf(start.toPlainDateTime());
  const inUseBefore = (start: Temporal.PlainDate) =>
    oldest !== undefined && oldest < stampOf(start.toPlainDateTime());

  const today = now.toPlainDate();
  for (const tier of tiers) {
    if (!policy.counts[tier.label]) continue;
    const start = tier.periodStart(today);
    if (isFirstSince(start) && (start.equals(today) || inUseBefore(start))) return tier.label;
  }
  if (!policy.counts.hourly) return "daily";
  return policy.counts.daily && isFirstSince(today) ? "daily" : "hourly";
}
