import { PlasmaError } from "../errors.ts";
import { isSubvolumePath, type SubvolumeRecord } from "../stores/manifest.ts";
import { judgeTar, tarFlags } from "../strategies/tar_command.ts";
import type { Stage } from "../system/pipeline.ts";

/**
 * The tar that gives the stored subvolumes of an archive under their original paths, upper ones before
 * those nested in them.
 *
 * @throws {PlasmaError} if the manifest gives them no path of their own
 */
export function storedTarStage(archive: string, subvolumes: readonly SubvolumeRecord[]): Stage {
  requirePlaces(subvolumes);
  const ordered = subvolumes.toSorted((a, b) => a.path.length - b.path.length);
  const command = {
    program: "tar",
    args: [
      ...tarFlags,
      `--directory=${archive}`,
      ...ordered.map(({ name, path }) => `--transform=${rename(name, path)}`),
      `--transform=flags=rh;s,^${done},,`,
      "--",
      ...ordered.map(({ name }) => name),
    ],
  };
  return { command, judge: (exit, messages) => judgeTar(exit, messages, () => false) };
}

/**
 * Begins a name that has been given back: no name of a subvolume begins like that, so the expression of
 * no other one takes it for its own.
 */
const done = "\x01";

/** A sed expression that gives members their original names; also to the targets of hard links. */
function rename(name: string, path: string): string {
  const from = name.replaceAll(/[\\.[\]*^$,]/g, "\\$&");
  if (path === "/") return `flags=rh;s,^${from}/\\(.\\),${done}\\1,;s,^${from}/*$,${done}.,`;
  const to = path.slice(1).replaceAll(/[\\&,]/g, "\\$&").replaceAll("\n", "\\n");
  return `flags=rh;s,^${from}\\(/\\|$\\),${done}${to}\\1,`;
}

/**
 * Nothing may come to lie in the place of something else, or nowhere: whoever stored the archive has
 * named the paths.
 */
function requirePlaces(subvolumes: readonly SubvolumeRecord[]): void {
  const seen = new Set<string>();
  const bad = subvolumes.map(({ path }) => path).find((path) => {
    const isGood = isSubvolumePath(path) && !seen.has(path);
    seen.add(path);
    return !isGood;
  });
  if (bad === undefined) return;
  const what = isSubvolumePath(bad)
    ? "two subvolumes have the path"
    : "no subvolume has a path like";
  throw new PlasmaError("restore", `its manifest is wrong: ${what} ${JSON.stringify(bad)}`, {
    remedy: "send its subvolumes back one by one: see README.md",
  });
}
