/** Paths as texts: absolute, tidy (see tidyPath()), without looking at any file. */

/** True if a path is a folder or lies below it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

/** What of a path lies below a folder, without a leading slash; "" for the folder itself. */
export function relativePath(path: string, folder: string): string {
  return path === folder ? "" : path.slice(folder === "/" ? 1 : folder.length + 1);
}

/** A path below a folder. */
export function joinPath(folder: string, relative: string): string {
  if (relative === "") return folder;
  return folder === "/" ? `/${relative}` : `${folder}/${relative}`;
}

/** The folder that holds a path. */
export function parentOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end <= 0 ? "/" : path.slice(0, end);
}

/** How many bytes a path takes in JSON, where a control character has six. */
export function bytesInJson(path: string): number {
  return new TextEncoder().encode(JSON.stringify(path)).length - 2;
}
