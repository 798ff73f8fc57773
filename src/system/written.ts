import { run } from "./process.ts";

/**
 * How many bytes a program has written, as the kernel counts them: "wchar", see proc_pid_io(5). With
 * it a program can write to another one, and nothing has to stand between them that counts.
 *
 * What `btrfs send` sends is counted once, when the kernel writes it; the program splices it on
 * (btrfs-progs since 4.10), and that is not counted.
 */

/**
 * The beginning of a script of sh(1) that has the shell write to the file $1, at its end, how many
 * bytes its children have written. It ends with the status that it would have ended with.
 */
export const countingScript = `
count() {
  while read -r name value; do
    [ "$name" != wchar: ] || written=$value
  done </proc/$$/io
}
count
before=$written
trap 'count; echo "$((written - before))" >"$1"' EXIT
`;

/** Of a running shell and its children so far. */
const currentScript = `
read -r children <"/proc/$1/task/$1/children"
total=0
for process in "$1" $children; do
  while read -r name value; do
    [ "$name" != wchar: ] || total=$((total + value))
  done <"/proc/$process/io"
done
echo "$total"
`;

/** Whether the kernel counts, and tells of what a process has started. */
export async function canCountWritten(): Promise<boolean> {
  const args = ["/proc/self/io", "/proc/thread-self/children"];
  const { exit, stdout } = await run({ program: "cat", args });
  return exit.code === 0 && new TextDecoder().decode(stdout).includes("wchar:");
}

/** About how many bytes a running shell and its children have written, or undefined. */
export async function writtenSoFar(pid: number): Promise<number | undefined> {
  const command = { program: "sh", args: ["-c", currentScript, "sh", `${pid}`] };
  const { exit, stdout } = await run(command);
  return exit.code === 0 ? byteCount(new TextDecoder().decode(stdout)) : undefined;
}

/** What such a script has left in its file; undefined if it did not come to its end. */
export function writtenInAll(file: string): number | undefined {
  try {
    return byteCount(Deno.readTextFileSync(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const byteCount = (text: string) => /^\d+\n$/.test(text) ? Number(text) : undefined;
