import { sh, until } from "./sh.ts";

/** A running process. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its arguments, joined by spaces. */
  readonly command: string;
}

/** All running processes. */
export async function processes(): Promise<Process[]> {
  const lines = (await sh("ps", "-eww", "-o", "pid=,ppid=,stat=,args=")).split("\n");
  return lines.flatMap((line) => {
    const [, pid, parent, state, command] = /^ *(\d+) +(\d+) +(\S+) +(.*)$/.exec(line) ?? [];
    if (command === undefined || state!.startsWith("Z")) return [];
    return [{ pid: Number(pid), parent: Number(parent), command }];
  });
}

/** The processes that a process has started, and those have started, and so on. */
export async function descendants(pid: number): Promise<Process[]> {
  const all = await processes();
  const below = (parent: number): Process[] =>
    all.filter((process) => process.parent === parent)
      .flatMap((process) => [process, ...below(process.pid)]);
  return below(pid);
}

/** Wait for a descendant whose command line matches, and return its process id. */
export async function descendant(pid: number, pattern: RegExp): Promise<number> {
  let found: Process | undefined;
  await until(`process ${pid} has started ${pattern}`, async () => {
    found = (await descendants(pid)).find(({ command }) => pattern.test(command));
    return found !== undefined;
  });
  return found!.pid;
}

/** Wait until no process has a text in its command line. */
export async function untilNoProcessNames(text: string): Promise<void> {
  await until(
    `no process has ${text} in its command line`,
    async () => !(await processes()).some(({ command }) => command.includes(text)),
    40,
  );
}

/** A line of /proc/PID/status in KiB, for example "VmHWM": the most memory that it ever had. */
export function memoryOf(pid: number, line: "VmHWM" | "VmRSS"): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`^${line}:\\s*(\\d+) kB$`, "m").exec(text)![1]);
}

/** Bytes that a process has read so far. */
export function bytesReadBy(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/io`))![1]);
}

const peakMemory = `
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)`;

/**
 * A command line that runs a program and then says on standard error, as the last line, how many KiB
 * the largest of its processes had.
 */
export const measuringMemory = ["python3", "-c", peakMemory] as const;
