import { table } from "../cli/output.ts";
import { printable } from "../system/printable.ts";
import { formatAge, formatBytes } from "../system/progress.ts";
import type { MachineStatus, MonitoringStateName } from "./assess.ts";

/** The one line that monitoring shows, with the number of machines in each state. */
export function summaryLine(
  state: MonitoringStateName,
  machines: readonly MachineStatus[],
): string {
  const bad = machines.filter((machine) => machine.state !== "ok");
  const some = bad.slice(0, 5).map(({ machine, problems }) =>
    printable(`${machine} (${problems[0]})`)
  );
  const more = bad.length > some.length ? ` and ${bad.length - some.length} more` : "";
  const what = bad.length === 0 ? "all backups are fine" : `${some.join(", ")}${more}`;
  const ages = machines.flatMap(({ ageSeconds }) => ageSeconds ?? []);
  const oldest = ages.length === 0 ? "" : ` oldest_age=${Math.max(...ages)}s`;
  return `PLASMA ${state.toUpperCase()} - ${machines.length} machines: ${what}` +
    ` | machines=${machines.length} problems=${bad.length}${oldest}\n`;
}

/** A table with a row for each machine. */
export function statusTable(machines: readonly MachineStatus[]): string {
  const head = ["machine", "newest", "age", "size", "change", "kept", "verified", "problems"];
  const rows = machines.map((status) => {
    const { machine, newest, ageSeconds, sizeRatio, counts, lastVerified, problems } = status;
    return [
      machine,
      newest?.name ?? "-",
      ageSeconds === null ? "-" : formatAge(ageSeconds),
      newest === null ? "-" : formatBytes(newest.bytes),
      sizeRatio === null ? "-" : formatChange(sizeRatio),
      Object.entries(counts).map(([label, count]) => `${count} ${label}`).join(", ") || "-",
      lastVerified?.slice(0, 10) ?? "never",
      problems.join("; ") || "-",
    ];
  });
  return table([head, ...rows], [2, 3, 4]);
}

function formatChange(ratio: number): string {
  const percent = Math.round((ratio - 1) * 100);
  return `${percent >= 0 ? "+" : ""}${percent} %`;
}

/** One metric of the text format that node_exporter's textfile collector reads. */
interface Metric {
  readonly name: string;
  readonly help: string;
  /** Values with their labels beside `machine`. */
  values(status: MachineStatus): readonly (readonly [Record<string, string>, number])[];
}

const plain = (value: number | null): [Record<string, string>, number][] =>
  value === null ? [] : [[{}, value]];

const metrics: readonly Metric[] = [
  {
    name: "plasma_newest_archive_age_seconds",
    help: "Age of the newest archive when this was written.",
    values: ({ ageSeconds }) => plain(ageSeconds),
  },
  {
    name: "plasma_newest_archive_bytes",
    help: "Size of the newest archive.",
    values: ({ newest }) => plain(newest?.bytes ?? null),
  },
  {
    name: "plasma_archives",
    help: "Number of archives by label.",
    values: ({ counts }) => Object.entries(counts).map(([label, count]) => [{ label }, count]),
  },
  {
    name: "plasma_archives_bytes",
    help: "Size of all archives.",
    values: ({ totalBytes, newest }) => plain(newest === null ? null : totalBytes),
  },
  {
    name: "plasma_last_verified_timestamp_seconds",
    help: "When an archive was last verified.",
    values: ({ lastVerified }) =>
      plain(lastVerified === null ? null : Math.floor(Date.parse(lastVerified) / 1000)),
  },
  {
    name: "plasma_state",
    help: "1 for the state that the machine's backups are in.",
    values: ({ state }) =>
      (["ok", "warning", "critical", "unknown"] as const).map((name) => [
        { state: name },
        name === state ? 1 : 0,
      ]),
  },
];

/** All metrics in the text exposition format of Prometheus. */
export function prometheusText(machines: readonly MachineStatus[], now: number): string {
  const families = metrics.map(({ name, help, values }) => {
    const lines = machines.flatMap((status) =>
      values(status).map(([labels, value]) =>
        `${name}{${formatLabels({ machine: status.machine, ...labels })}} ${value}\n`
      )
    );
    return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join("")}`;
  });
  const written = "plasma_status_timestamp_seconds";
  return families.join("") +
    `# HELP ${written} When this was written.\n# TYPE ${written} gauge\n${written} ${now}\n`;
}

function formatLabels(labels: Record<string, string>): string {
  const escape = (text: string) =>
    text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`).join(",");
}
