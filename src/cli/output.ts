import { PlasmaError, reasonOf } from "../errors.ts";
import { printable, printableJson } from "../system/printable.ts";

/**
 * Write a result to standard output, as it is. A reader that has gone is no error.
 *
 * @throws {PlasmaError} if not all of it could be written
 */
export function print(text: string): void {
  const bytes = new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`);
  try {
    let offset = 0;
    while (offset < bytes.length) offset += Deno.stdout.writeSync(bytes.subarray(offset));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return;
    throw new PlasmaError("output", `cannot write to standard output: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Write a result as JSON to standard output. */
export function printJson(value: unknown): void {
  print(printableJson(JSON.stringify(value, null, 2)));
}

/**
 * Rows as lines with aligned columns; columns named in `right` are aligned to the right. Control
 * characters are escaped: names may hold newlines.
 */
export function table(
  cells: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const rows = cells.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows.map((row) =>
    row.map((cell, column) =>
      right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd() + "\n"
  ).join("");
}
