/** Users and groups as passwd(5) and group(5) have them. */

/** A user as people know him: `bob (uid 1000)`. */
export function userName(uid: number): string {
  const row = rowsOf("/etc/passwd").find(([, , id]) => id === String(uid));
  return row === undefined ? `uid ${uid}` : `${row[0]} (uid ${uid})`;
}

/**
 * True for root's group, and for one in which nobody is: Debian lets such a one, `staff`, write
 * `/usr/local`.
 */
export function isPrivateGroup(gid: number): boolean {
  if (gid === 0) return true;
  const group = rowsOf("/etc/group").find(([, , id]) => id === String(gid));
  const members = (group?.[3] ?? "?").split(",").filter((name) => name !== "" && name !== "root");
  const users = rowsOf("/etc/passwd").filter(([, , uid, group]) =>
    group === String(gid) && uid !== "0"
  );
  return members.length === 0 && users.length === 0;
}

function rowsOf(file: string): string[][] {
  try {
    return Deno.readTextFileSync(file).split("\n").map((line) => line.split(":"));
  } catch {
    return [];
  }
}
