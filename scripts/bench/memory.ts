/** A process, as far as /proc tells. */
interface ProcessState {
  readonly pid: number;
  readonly parent: number;
  /** The most memory that it has had so far, VmHWM, in bytes. */
  readonly peak: number;
  readonly words: readonly string[];
}

const lookEveryMs = 25;

/**
 * Notes the peak memory of all processes that descend from given ones, by a name that the caller
 * gives to each. Costs some CPU time itself: not to be used while time is measured.
 */
export class MemoryWatch implements Disposable {
  readonly #peaks = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * @param roots the processes whose descendants count, and they themselves
   * @param nameOf given the words of a command line, the name to note it by; undefined to ignore it
   */
  constructor(
    readonly roots: readonly number[],
    readonly nameOf: (words: readonly string[]) => string | undefined,
  ) {
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
  }

  /** The peak in bytes of the process of that name that had most. */
  peak(name: string): number {
    return this.#peaks.get(name) ?? 0;
  }

  #look(): void {
    const processes = new Map(readProcesses().map((process) => [process.pid, process]));
    for (const process of processes.values()) {
      const name = this.nameOf(process.words);
      if (name === undefined || !this.#descends(process, processes)) continue;
      this.#peaks.set(name, Math.max(this.peak(name), process.peak));
    }
  }

  #descends(process: ProcessState, all: ReadonlyMap<number, ProcessState>): boolean {
    let ancestor: ProcessState | undefined = process;
    while (ancestor !== undefined && !this.roots.includes(ancestor.pid)) {
      ancestor = all.get(ancestor.parent);
    }
    return ancestor !== undefined;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function readProcesses(): ProcessState[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const status = Deno.readTextFileSync(`/proc/${name}/status`);
      const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0");
      const field = (key: string) =>
        Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1]);
      // A kernel thread has no memory of its own.
      return [{
        pid: Number(name),
        parent: field("PPid"),
        peak: (field("VmHWM") || 0) * 1024,
        words,
      }];
    } catch {
      return []; // it has just ended
    }
  });
}
