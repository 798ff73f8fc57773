/** Stands for lines that were not kept: nobody knows what they said. */
export const isGap = (line: string) => /^\.\.\. \d+ more lines \.\.\.$/.test(line);

/** How many lines of a name a line stands for that were only counted; 0 if it is none such. */
export const countedLines = (line: string, name: string) =>
  Number(new RegExp(`^\\.\\.\\. (\\d+) more lines: ${name} \\.\\.\\.$`).exec(line)?.[1] ?? 0);

const isCount = (line: string) => /^\.\.\. \d+ more lines: .* \.\.\.$/.test(line);

/**
 * What GNU tar has said on standard error, without its own name in front (which may be a path) and
 * without the lines that say nothing about a file.
 */
export function tarComplaints(messages: readonly string[]): string[] {
  return messages.map((line) => line.replace(/^(?:\S*\/)?tar: /, "")).filter((line) =>
    !isGap(line) && !isCount(line) &&
    !/^Removing leading |^Exiting with failure status|^Error is not recoverable|: socket ignored$|: time stamp .* in the future$|: implausibly old time stamp /
      .test(line)
  );
}

/** Whether tar says that it has gone on to the end although something went wrong before. */
export const isDelayedFailure = (lastLine: string | undefined) =>
  /(^|: )Exiting with failure status due to previous errors$/.test(lastLine ?? "");
