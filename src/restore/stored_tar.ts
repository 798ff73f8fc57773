import { PlasmaError } from "../errors.ts";
import { isSubvolumePath, type SubvolumeRecord } from "../stores/manifest.ts";
import { judgeTar } from "../strategies/judge_tar.ts";
import { tarFlags } from "../strategies/tar_command.ts";
import type { Stage } from "../system/pipeline.ts";

/**
 * The tar that gives the stored subvolumes of an archive under their original paths, upper ones before
 * those nested in them.
 *
 * @param folder a private folder for the list of them: a command line is too short for thousands
 * @throws {PlasmaError} if the manifest gives them no path of their own
 */
export function storedTarStage(
  archive: string,
  subvolumes: readonly SubvolumeRecord[],
  folder: string,
): Stage {
  requirePlaces(subvolumes);
  const ordered = subvolumes.toSorted((a, b) => a.path.length - b.path.length);
  const list = `${folder}/subvolumes`;
  const names = ordered.map(({ name }) => `${name}\0`).join("");
  // The same one for each reading of the archive.
  Deno.writeTextFileSync(list, names, { mode: 0o600 });
  const command = {
    program: "tar",
    args: [
      ...tarFlags,
      "--file=-",
      `--directory=${archive}`,
      ...renames(ordered).map((expression) => `--transform=flags=rh;${expression}`),
      "--null",
      "--verbatim-files-from",
      `--files-from=${list}`,
    ],
  };
  return { command, judge: (exit, messages) => judgeTar(exit, messages, () => false) };
}

/**
 * The sed expressions that give members their original names, also the targets of hard links. tar tries
 * each of them on every name: so most subvolumes have none of their own.
 */
function renames(subvolumes: readonly SubvolumeRecord[]): string[] {
  const isPlain = ({ name, path }: SubvolumeRecord) =>
    !path.includes("%") && path.slice(1).replaceAll("/", "%2F") === name;
  const [plain, others] = [subvolumes.filter(isPlain), subvolumes.filter((one) => !isPlain(one))];
  const slashes = plain.map(({ path }) => path.split("/").length - 2);
  return [
    ...others.map(({ name, path }) => rename(name, path)),
    // The last one in the first component; it is the first one that is left.
    ...Array(Math.max(0, ...slashes)).fill(`s,^\\([^${done}/][^/]*\\)%2F,\\1/,`),
    `s,^${done},,`,
  ];
}

/**
 * Begins a name that has been given back: no name of a subvolume begins like that, so the expression of
 * no other one takes it for its own.
 */
const done = "\x01";

/** The expression for one subvolume that has one of its own. */
function rename(name: string, path: string): string {
  const from = name.replaceAll(/[\\.[\]*^$,]/g, "\\$&");
  if (path === "/") return `s,^${from}/\\(.\\),${done}\\1,;s,^${from}/*$,${done}.,`;
  const to = path.slice(1).replaceAll(/[\\&,]/g, "\\$&").replaceAll("\n", "\\n");
  return `s,^${from}\\(/\\|$\\),${done}${to}\\1,`;
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
