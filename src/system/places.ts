import { privatePlace } from "./private_place.ts";

/**
 * Take one of so many places, for as long as this process lives: at most so many processes of this
 * user have one of the same name at a time. Where places cannot be counted there is one for everybody.
 *
 * A place is a lock on a file of its own, which the kernel releases however the process ends.
 *
 * @returns false if all are taken
 */
export async function takePlace(name: string, count: number): Promise<boolean> {
  let folder;
  try {
    folder = `${privatePlace()}/places`;
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {
    return true;
  }
  const first = Math.floor(Math.random() * count);
  const tries = canTryLock ? count : triesWithoutTryLock;
  for (let index = 0; index < Math.min(count, tries); index++) {
    if (await lockForever(`${folder}/${name}.${(first + index) % count}`)) return true;
  }
  return false;
}

/** Whether Deno can try to lock a file without a program that does it: since 2.9. */
const canTryLock = "tryLockSync" in Deno.FsFile.prototype;

/** Else that many are tried: for each flock(1) is started. */
const triesWithoutTryLock = 3;

async function lockForever(path: string): Promise<boolean> {
  if (!canTryLock) return await lockByProgram(path);
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  if (file.tryLockSync(true)) return true;
  file.close();
  return false;
}

async function lockByProgram(path: string): Promise<boolean> {
  const { Lock } = await import("./lock.ts");
  return await Lock.take(path) !== undefined;
}
