import { type Label, type Stamp, timeOf } from "./archive_name.ts";

/** The calendar periods that archives of a label stand for: days for "daily", and so on. */
interface Period {
  /** For people: "7 days". */
  readonly plural: string;
  /** The same for two stamps exactly if they lie in the same period. */
  keyOf(stamp: Stamp): string | number;
  /** For people: "2026-11-20". */
  nameOf(stamp: Stamp): string;
}

const date = (stamp: Stamp) => `${stamp.slice(0, 4)}-${stamp.slice(4, 6)}-${stamp.slice(6, 8)}`;

export const periods: Readonly<Record<Label, Period>> = {
  yearly: {
    plural: "years",
    keyOf: (stamp) => stamp.slice(0, 4),
    nameOf: (stamp) => stamp.slice(0, 4),
  },
  monthly: {
    plural: "months",
    keyOf: (stamp) => stamp.slice(0, 6),
    nameOf: (stamp) => `${stamp.slice(0, 4)}-${stamp.slice(4, 6)}`,
  },
  weekly: { plural: "weeks", keyOf: weekNumber, nameOf: weekName },
  daily: { plural: "days", keyOf: (stamp) => stamp.slice(0, 8), nameOf: date },
  hourly: {
    plural: "hours",
    keyOf: (stamp) => stamp.slice(0, 10),
    nameOf: (stamp) => `${date(stamp)} ${stamp.slice(8, 10)}:00`,
  },
};

const millisecondsPerDay = 86_400_000;

/** Weeks since some Monday. Done by hand: a folder may hold 100,000 archives. */
function weekNumber(stamp: Stamp): number {
  // Date.UTC() takes the years 0 to 99 for 1900 to 1999; 400 years are a whole number of weeks.
  const year = Number(stamp.slice(0, 4)) + 400;
  const time = Date.UTC(year, Number(stamp.slice(4, 6)) - 1, Number(stamp.slice(6, 8)));
  // 1 January 1970 was a Thursday.
  return Math.floor((time / millisecondsPerDay + 3) / 7);
}

/** As ISO 8601 writes it: "2026-W47". */
function weekName(stamp: Stamp): string {
  const { yearOfWeek, weekOfYear } = timeOf(stamp);
  return `${String(yearOfWeek).padStart(4, "0")}-W${String(weekOfYear).padStart(2, "0")}`;
}
