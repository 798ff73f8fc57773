import { labels } from "../rotation/archive_name.ts";
import type { ListedArchive } from "../stores/mod.ts";
import { ratioToNormal, shrunkBelow } from "./sizes.ts";
import type { FolderFindings } from "./survey.ts";

/** The states of monitoring plugins, as their exit statuses. */
export const MonitoringState = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;
export type MonitoringStateName = keyof typeof MonitoringState;

/** What is known of one machine's backups, and what is wrong with them. */
export interface MachineStatus {
  /** The name of its folder. */
  readonly machine: string;
  readonly folder: string;
  readonly state: MonitoringStateName;
  readonly problems: readonly string[];
  /** The newest archive that is not dated in the future. */
  readonly newest: ListedArchive | null;
  /** How old it is, in seconds. */
  readonly ageSeconds: number | null;
  /**
   * The size of the newest archive as a share of what is normal, see {@link ratioToNormal}; 1 is the
   * same.
   */
  readonly sizeRatio: number | null;
  readonly counts: Readonly<Record<string, number>>;
  readonly totalBytes: number;
  /** When any of them was last verified: UTC, ISO 8601. */
  readonly lastVerified: string | null;
}

/** From when on a backup is overdue, in seconds. */
export interface AgeLimits {
  readonly maxAge: number;
  readonly criticalAge: number;
}

/** Judge what was found in a machine's folder at a local time. Pure. */
export function assess(
  findings: FolderFindings,
  now: Temporal.ZonedDateTime,
  limits: AgeLimits,
): MachineStatus {
  const { folder } = findings;
  const machine = nameOf(folder, 1);
  if (findings.kind === "unreadable") {
    return {
      machine,
      folder,
      state: "unknown",
      problems: [findings.reason],
      newest: null,
      ageSeconds: null,
      sizeRatio: null,
      counts: {},
      totalBytes: 0,
      lastVerified: null,
    };
  }
  const { archives, foreign, torn, problem, history, isShared = false } = findings;
  const past = archives.filter(({ state }) => state !== "dated in the future");
  const newest = past.at(-1);
  const ageSeconds = newest === undefined ? null : ageOf(newest, now);
  const sizeRatio = ratioToNormal(past, history);
  const problems: [MonitoringStateName, string][] = [
    ...ageProblems(ageSeconds, limits),
    ...(sizeRatio !== null && sizeRatio < shrunkBelow
      ? [["warning", `shrunk to ${Math.round(sizeRatio * 100)} %`] as const]
      : []),
    ...(archives.length > past.length
      ? [["warning", `${archives.length - past.length} dated in the future`] as const]
      : []),
    ...findingProblems(archives),
    ...(isShared
      ? [
        [
          "warning",
          "two agents or configs store here, and push out each other's archives",
        ] as const,
      ]
      : []),
    ...(torn > 0 ? [["warning", `${torn} torn uploads`] as const] : []),
    ...(problem === undefined ? [] : [["warning", problem] as const]),
    ...(foreign.length > 0 ? [["ok", `foreign: ${foreign.slice(0, 3).join(", ")}`] as const] : []),
  ].map(([state, text]) => [state as MonitoringStateName, text as string]);
  const times = archives.flatMap(({ verified }) => verified ?? []).sort();
  return {
    machine,
    folder,
    state: worst(problems.map(([state]) => state)),
    problems: problems.map(([, text]) => text),
    newest: newest ?? null,
    ageSeconds,
    sizeRatio,
    counts: countLabels(archives),
    totalBytes: archives.reduce((sum, { bytes }) => sum + bytes, 0),
    lastVerified: times.at(-1) ?? null,
  };
}

/** The last parts of a path. */
const nameOf = (folder: string, parts: number) =>
  folder.split("/").filter((part) => part !== "").slice(-parts).join("/") || folder;

/** Names by which folders can be told apart: those that are called the same have the ones above too. */
export function namesOf(folders: readonly string[]): string[] {
  return folders.map((folder) => {
    const others = folders.filter((other) => other !== folder);
    const depth = folder.split("/").length;
    let parts = 1;
    while (parts < depth && others.some((one) => nameOf(one, parts) === nameOf(folder, parts))) {
      parts++;
    }
    return nameOf(folder, parts);
  });
}

/** The same machines under names that no other has. */
export function withUniqueNames(machines: readonly MachineStatus[]): MachineStatus[] {
  const names = namesOf(machines.map(({ folder }) => folder));
  return machines.map((status, index) => ({ ...status, machine: names[index]! }));
}

function ageProblems(
  age: number | null,
  { maxAge, criticalAge }: AgeLimits,
): (readonly [MonitoringStateName, string])[] {
  if (age === null) return [["critical", "no archive"]];
  if (age > criticalAge) return [["critical", "overdue"]];
  return age > maxAge ? [["warning", "overdue"]] : [];
}

/** What verifications have found, by the journal. */
function findingProblems(
  archives: readonly ListedArchive[],
): (readonly [MonitoringStateName, string])[] {
  return archives.flatMap(({ name, finding }) => {
    if (finding === undefined) return [];
    const state = finding === "no checksum" ? "warning" : "critical";
    return [
      [state, `${name} is ${finding === "no checksum" ? "without checksum" : finding}`] as const,
    ];
  });
}

/** In real time: a day on which clocks change has 23 or 25 hours. */
function ageOf({ time }: ListedArchive, now: Temporal.ZonedDateTime): number {
  const then = Temporal.PlainDateTime.from(time).toZonedDateTime(now.timeZoneId);
  return Math.max(0, Math.round((now.epochMilliseconds - then.epochMilliseconds) / 1000));
}

function countLabels(archives: readonly ListedArchive[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const label of labels) {
    const count = archives.filter((archive) => archive.label === label).length;
    if (count > 0) counts[label] = count;
  }
  return counts;
}

/** From the least to the most that must be looked at. */
const severity: readonly MonitoringStateName[] = ["ok", "warning", "unknown", "critical"];

/** The worst of several states; "ok" of none. */
export function worst(states: readonly MonitoringStateName[]): MonitoringStateName {
  const rank = Math.max(0, ...states.map((state) => severity.indexOf(state)));
  return severity[rank]!;
}
