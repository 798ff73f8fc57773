import { UsageError } from "../errors.ts";

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

/** Given the name of a program, return its path as PATH has it, or undefined. */
export async function findTool(name: string): Promise<string | undefined> {
  const known = found.get(name);
  if (known !== undefined) return known;
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    if (!folder.startsWith("/")) continue;
    const path = `${folder}/${name}`;
    try {
      const { isFile, mode } = await Deno.stat(path);
      if (!isFile || ((mode ?? 0) & 0o111) === 0) continue;
      found.set(name, path);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

/**
 * Make sure that a program is installed.
 *
 * @throws {UsageError} that names the program and the package which has it
 */
export async function requireTool(name: string): Promise<void> {
  if (await findTool(name) !== undefined) return;
  throw new UsageError(
    "tools",
    `the program "${name}" is not installed, or not on PATH`,
    `install the package ${packages[name] ?? name}`,
  );
}
