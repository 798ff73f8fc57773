import { PlasmaError } from "../errors.ts";
import type { Stage } from "./pipeline.ts";

/** The code of the error that an archive costs more to read than archives do. */
export const tooCostly = "too-costly";

/** What programs say when they may not have the memory that they want. */
const wantsMemory =
  /memory exhausted|not enough memory|too much memory|memory usage limit|cannot allocate|window size larger/i;

/**
 * The same program with no more than so many MiB of address space. Archives come from
 * machines that one does not trust: a few kilobytes can be made so that they take gigabytes to read.
 */
export function withMemoryLimit({ command, judge }: Stage, memoryMegabytes: number): Stage {
  return {
    command: { ...command, memoryMegabytes },
    judge(exit, messages) {
      if (exit.code !== 0 && messages.some((line) => wantsMemory.test(line))) {
        throw costly(
          `to read it takes more than the ${memoryMegabytes} MiB of memory that are allowed`,
        );
      }
      return judge(exit, messages);
    },
  };
}

/** An archive like this is not necessarily damaged, but nobody has seen that it is whole either. */
export function costly(what: string): PlasmaError {
  return new PlasmaError("restore", `${what}: it may have been made to do harm`, {
    code: tooCostly,
    remedy: "look who could store it",
  });
}
