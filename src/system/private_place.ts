import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { environmentVariable } from "./environment.ts";
import { requireTrusted } from "./trusted.ts";

/**
 * The folder for locks, pipes and sockets: `/run/plasma` for root; for others in /tmp, under a name
 * that nobody can know before. It is the same one for all runs of a user, from a session as from
 * cron, and nobody else can enter it or keep it from being made. Only when /tmp does not do, because
 * it is full, they have it in their own runtime folder.
 *
 * @throws {PlasmaError} if there is no such place
 */
export function privatePlace(): string {
  const uid = Deno.uid() ?? 0;
  if (uid === 0 && isOwn("/run", uid)) return placeIn("/run", uid);
  try {
    return placeInTmp(uid);
  } catch (error) {
    const own = environmentVariable("XDG_RUNTIME_DIR");
    if (own?.startsWith("/") && isOwn(own, uid)) return placeIn(own, uid);
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("start", `cannot make a folder in /tmp: ${reasonOf(error)}`);
  }
}

/** A folder in one in which nobody else can make anything. */
function placeIn(base: string, uid: number): string {
  const folder = `${base}/plasma`;
  try {
    makePrivateFolder(folder);
    return close(folder, uid);
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("start", `cannot make the folder ${folder}: ${reasonOf(error)}`);
  }
}

/** True for a folder of ours in which nobody else can make anything. */
function isOwn(path: string, uid: number): boolean {
  try {
    const { isDirectory, uid: owner, mode } = Deno.statSync(path);
    return isDirectory && owner === uid && ((mode ?? 0) & 0o022) === 0;
  } catch {
    return false;
  }
}

/** Keep everybody else out of a folder of ours. */
function close(folder: string, uid: number): string {
  const { uid: owner, mode } = Deno.lstatSync(folder);
  if (owner !== uid) {
    throw new PlasmaError("start", `the folder ${folder} belongs to somebody else`, {
      remedy: "remove it",
    });
  }
  if (((mode ?? 0) & 0o777) !== 0o700) Deno.chmodSync(folder, 0o700);
  return folder;
}

/**
 * Others may make what they like in /tmp, but no folder that is ours. Runs that begin at the same
 * time agree on the oldest one: the names begin with the time.
 */
function placeInTmp(uid: number): string {
  requireTrusted("/tmp", "start", "the folder");
  const known = oldestInTmp(uid);
  if (known !== undefined) return close(known, uid);
  const name = `plasma-${uid}-${Date.now().toString(36)}-${randomDigits()}`;
  makePrivateFolder(`/tmp/${name}`);
  return close(oldestInTmp(uid) ?? `/tmp/${name}`, uid);
}

function oldestInTmp(uid: number): string | undefined {
  const names = [...Deno.readDirSync("/tmp")].map(({ name }) => name)
    .filter((name) => name === `plasma-${uid}` || name.startsWith(`plasma-${uid}-`)).sort();
  for (const name of names) {
    try {
      const { isDirectory, uid: owner } = Deno.lstatSync(`/tmp/${name}`);
      if (isDirectory && owner === uid) return `/tmp/${name}`;
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }
  return undefined;
}

/** Eight hexadecimal digits: a socket in a folder below must not have a long path. */
function randomDigits(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(4));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Make a folder, mode 0700 whatever the umask is, if there is none. */
function makePrivateFolder(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
    Deno.chmodSync(path, 0o700);
  } catch (error) {
    // Anything else is the cause, which another look at the path would hide.
    if (errorCode(error) !== "EEXIST" || !Deno.lstatSync(path).isDirectory) throw error;
  }
}
