import { DistrustError, UsageError } from "../errors.ts";
import { environmentVariable } from "./environment.ts";
import { requireTrusted } from "./trusted.ts";

/** The Debian packages of the programs that plasma starts. */
const packages: Readonly<Record<string, string>> = {
  age: "age",
  btrfs: "btrfs-progs",
  cat: "coreutils",
  flock: "util-linux",
  gzip: "gzip",
  mkfifo: "coreutils",
  mount: "mount",
  pigz: "pigz",
  setsid: "util-linux",
  sh: "dash",
  ssh: "openssh-client",
  tar: "tar",
  timeout: "coreutils",
  unshare: "util-linux",
  xargs: "findutils",
  xz: "xz-utils",
  zstd: "zstd",
};

const found = new Map<string, string>();

/**
 * The folders of PATH. Empty and relative ones, which mean the current folder, are no part of it:
 * whoever can write there would choose what we run.
 */
export function toolFolders(): string[] {
  return (environmentVariable("PATH") ?? "").split(":").filter((folder) => folder.startsWith("/"));
}

let isPathSafe = false;

/**
 * As root: make sure that nobody else can put a program into a folder of PATH.
 *
 * @throws {UsageError} that names the folder and its owner
 */
export function requireSafePath(): void {
  if (isPathSafe || Deno.uid() !== 0) return;
  const path = environmentVariable("PATH") ?? "";
  for (const folder of path === "" ? [] : path.split(":")) {
    if (!folder.startsWith("/")) throw relativeEntry(folder, "root would run the programs there");
    requireTrusted(folder, "tools", "the entry of PATH");
  }
  isPathSafe = true;
}

function relativeEntry(folder: string, why: string): DistrustError {
  const entry = folder === "" ? "an empty entry" : `the relative entry ${folder}`;
  return new DistrustError("tools", `PATH has ${entry}: ${why}`, "take it out of PATH");
}

/**
 * Given the name of a program, return its path as PATH has it, or undefined.
 *
 * @throws {UsageError} if we are root and others could change PATH's folders or the program, or if
 * the program would be one of the current folder
 */
export async function findTool(name: string): Promise<string | undefined> {
  const known = found.get(name);
  if (known !== undefined) return known;
  requireSafePath();
  for (const folder of (environmentVariable("PATH") ?? "").split(":")) {
    const path = `${folder || "."}/${name}`;
    if (!await isExecutable(path)) continue;
    // Deno has looked it up too, and lets us run nothing else under that name.
    if (!folder.startsWith("/")) throw relativeEntry(folder, `there is a program ${name} in it`);
    if (Deno.uid() === 0) requireTrusted(path, "tools", "the program");
    found.set(name, path);
    return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/**
 * Make sure that a program is installed.
 *
 * @returns its path
 * @throws {UsageError} that names the program and the package which has it
 */
export async function requireTool(name: string): Promise<string> {
  const path = await findTool(name);
  if (path !== undefined) return path;
  throw new UsageError(
    "tools",
    `the program "${name}" is not installed, or not on PATH`,
    `install the package ${packages[name] ?? name}`,
  );
}
