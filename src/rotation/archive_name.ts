/**
 * The names of archives: `YYYYMMDD-HHmm[ss]-LABEL.tar[.gz|.zst|.xz][.age]` or `...-LABEL.btrfs`.
 *
 * Times are the storage host's local time without a zone, as Plasma 1.0 wrote them. They are
 * handled as strings of digits ("stamps"), which sort like the times that they stand for: a folder
 * of 100,000 archives is planned without making a date object for each.
 */

/** The labels, from the longest period to the shortest. */
export const labels = ["yearly", "monthly", "weekly", "daily", "hourly"] as const;
export type Label = (typeof labels)[number];

/** A point in local time, as fourteen digits: `YYYYMMDDHHmmss`. */
export type Stamp = string;

/** The parts of an archive's name. */
export interface ArchiveName {
  /** The name as it stands in the folder. */
  readonly name: string;
  /** The time in the name, with seconds 00 where the name has none. */
  readonly stamp: Stamp;
  readonly label: Label;
  /** What follows the label: "tar", "tar.zst", "tar.gz.age", "btrfs" ... */
  readonly kind: string;
}

/** A checksum file lies beside its archive under the archive's name and this suffix. */
export const sidecarSuffix = ".sha256";

const pattern =
  /^(\d{8})-(\d{4}|\d{6})-(hourly|daily|weekly|monthly|yearly)\.(tar(?:\.(?:gz|zst|xz))?(?:\.age)?|btrfs)$/;

/** Take a name apart; undefined if it is not an archive's name, or not of a real date and time. */
export function parseArchiveName(name: string): ArchiveName | undefined {
  const [, date, time, label, kind] = pattern.exec(name) ?? [];
  if (date === undefined || time === undefined || label === undefined || kind === undefined) {
    return undefined;
  }
  const stamp = date + time.padEnd(6, "0");
  return isRealTime(stamp) ? { name, stamp, label: label as Label, kind } : undefined;
}

/** True for the name of an archive of the strategy btrfs-send: a folder with subvolumes. */
export const isSubvolumeArchive = (name: string) => name.endsWith(".btrfs");

/** The name for an archive of the given time; `seconds` says whether the name shows them. */
export function formatArchiveName(
  { stamp, label, kind }: Omit<ArchiveName, "name">,
  seconds: boolean,
): string {
  return `${stamp.slice(0, 8)}-${stamp.slice(8, seconds ? 14 : 12)}-${label}.${kind}`;
}

/** True if the name of an archive shows the seconds of its time. */
export const hasSeconds = ({ name }: ArchiveName) => /^\d{8}-\d{6}-/.test(name);

/** Sort function: oldest first; within one second by name. */
export function compareArchives(a: ArchiveName, b: ArchiveName): number {
  if (a.stamp !== b.stamp) return a.stamp < b.stamp ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

/** The stamp of a time on the clock. */
export function stampOf(time: Temporal.ZonedDateTime | Temporal.PlainDateTime): Stamp {
  const digits = (value: number, width: number) => String(value).padStart(width, "0");
  return digits(time.year, 4) + digits(time.month, 2) + digits(time.day, 2) +
    digits(time.hour, 2) + digits(time.minute, 2) + digits(time.second, 2);
}

/** The time that a stamp stands for. */
export function timeOf(stamp: Stamp): Temporal.PlainDateTime {
  const part = (from: number, to: number) => Number(stamp.slice(from, to));
  return new Temporal.PlainDateTime(
    part(0, 4),
    part(4, 6),
    part(6, 8),
    part(8, 10),
    part(10, 12),
    part(12, 14),
  );
}

function isRealTime(stamp: Stamp): boolean {
  const part = (from: number, to: number) => Number(stamp.slice(from, to));
  const [year, month, day] = [part(0, 4), part(4, 6), part(6, 8)];
  return month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month) &&
    part(8, 10) <= 23 && part(10, 12) <= 59 && part(12, 14) <= 59;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}
