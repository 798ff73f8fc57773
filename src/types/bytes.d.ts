/** Format a number of bytes for people: 1337 → "1.34 kB", or "1.31 KiB" with `binary`. */
export function format(bytes: number, options?: { binary?: boolean }): string;
