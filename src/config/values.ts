/** The small notations that configs and flags share: sizes, durations, host names, paths. */

const sizeUnits: Readonly<Record<string, number>> = {
  "": 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/** A size in bytes: "512", "64K", "20M", "1.5G" (powers of 1024); undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim()) ??
    [];
  if (number === undefined || unit === undefined) return undefined;
  const bytes = Math.floor(Number(number) * sizeUnits[unit.toUpperCase()]!);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

const durationUnits: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

/** A duration in seconds: "90s", "1m", "26h", "14d", "2w", "1h30m"; undefined if it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d{1,9}[smhdw])+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)([smhdw])/g)) {
    seconds += Number(number) * durationUnits[unit!]!;
  }
  return seconds <= 100 * 366 * 86_400 ? seconds : undefined;
}

/**
 * True for a host name, an alias of ssh_config(5) or an IP address. The pattern keeps out options
 * ("-oProxyCommand=...") and everything that a shell or ssh could take for more than a name.
 */
export function isHost(text: string): boolean {
  return text.length <= 253 &&
    (/^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$/.test(text) ||
      /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?$/.test(text));
}

/** True for a name of a login that ssh can be given safely. */
export function isLogin(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}\$?$/.test(text);
}

/** True for a program on the storage host: a bare name or an absolute path, without any quoting. */
export function isRemoteCommand(text: string): boolean {
  return /^(?:[A-Za-z0-9_][A-Za-z0-9._+-]*|(?:\/[A-Za-z0-9_.+-]+)+)$/.test(text) &&
    !text.split("/").includes("..");
}

/**
 * Why a text cannot name a storage folder, or undefined if it can: no control characters (nobody
 * means them) and no ".." (which is another folder when a part of the path is a symbolic link).
 */
export function folderProblem(text: string): string | undefined {
  if (text === "") return "an empty path";
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(text)) return "a path with control characters";
  if (text.split("/").includes("..")) return 'a path with ".."';
  return undefined;
}

/** A path without doubled and trailing slashes; "/" stays "/". */
export function tidyPath(path: string): string {
  const tidy = path.replaceAll(/\/(?:\.?\/)+/g, "/").replace(/(?:\/\.?)+$/, "");
  return tidy === "" ? "/" : tidy;
}
