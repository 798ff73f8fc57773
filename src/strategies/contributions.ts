import { isNotFound } from "../errors.ts";
import type { Contribution } from "./member_counter.ts";

/**
 * What an admin should know of a folder of which nothing, or nothing but the folder itself, is in an
 * archive; undefined if something is. It may be meant so, but never without a word.
 *
 * @param entries see {@link Contribution}
 */
export async function explainNothing(
  { folder, entries }: Pick<Contribution, "folder" | "entries">,
): Promise<string | undefined> {
  if (entries > 1) return undefined;
  const { kind, target } = await look(folder);
  if (entries === 0) return `nothing of ${folder} is archived: ${absent[kind]}`;
  if (kind === "link") {
    return `of ${folder} only the link itself is archived, not ${target}, to which it leads`;
  }
  if (kind !== "folder") return undefined;
  return `nothing in ${folder} is archived: it is empty (is a disk not mounted?), or all of it is excluded`;
}

type Kind = "file" | "folder" | "link" | "socket" | "nothing" | "unknown";

/** Why nothing at all is archived of it. */
const absent: Readonly<Record<Kind, string>> = {
  file: '"exclude" leaves it out',
  folder: '"exclude" leaves it out',
  link: '"exclude" leaves it out',
  socket: "it is a socket, which cannot be archived",
  nothing: "it does not exist any more",
  unknown: '"exclude" leaves it out, or it cannot be read',
};

async function look(path: string): Promise<{ kind: Kind; target?: string }> {
  try {
    const found = await Deno.lstat(path);
    if (found.isSymlink) return { kind: "link", target: await Deno.readLink(path) };
    if (found.isDirectory) return { kind: "folder" };
    return { kind: found.isSocket ? "socket" : "file" };
  } catch (error) {
    return { kind: isNotFound(error) ? "nothing" : "unknown" };
  }
}

/**
 * The same of folders of which whole subvolumes are archived: what is in them now is looked at.
 *
 * @param isExcluded whether a folder is left out as a whole
 */
export async function explainEmptyFolders(
  folders: readonly string[],
  isExcluded: (path: string) => boolean,
): Promise<string[]> {
  const words = await Promise.all(folders.map(async (folder) => {
    const entries = isExcluded(folder) ? 0 : 1 + await countFew(folder);
    return await explainNothing({ folder, entries });
  }));
  return words.filter((one) => one !== undefined);
}

/** 1 if there is anything in a folder; also if nobody may look. */
async function countFew(folder: string): Promise<number> {
  try {
    if (!(await Deno.lstat(folder)).isDirectory) return 0;
    for await (const _ of Deno.readDir(folder)) return 1;
    return 0;
  } catch (error) {
    return isNotFound(error) ? 0 : 1;
  }
}
