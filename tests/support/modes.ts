/** The permission bits of a file or folder. */
export function modeOf(path: string): number {
  return Deno.lstatSync(path).mode! & 0o7777;
}

/** Do something under a umask of this process. */
export function withUmask<T>(umask: number, run: () => T): T {
  const before = Deno.umask(umask);
  try {
    return run();
  } finally {
    Deno.umask(before);
  }
}
