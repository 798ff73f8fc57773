import { privatePlace } from "./private_place.ts";

/** A place that this process has; it goes with the process, if it is not given back before. */
export interface Place {
  /** Does nothing when called again. */
  giveBack(): void;
}

/**
 * Take one of so many places: at most so many processes of this user have one of the same name at a
 * time. Where places cannot be counted there is one for everybody.
 *
 * A place is a lock on a file of its own, which the kernel releases however the process ends.
 *
 * @returns undefined if all are taken
 */
export async function takePlace(name: string, count: number): Promise<Place | undefined> {
  const folder = placesFolder();
  if (folder === undefined) return noPlace;
  const first = Math.floor(Math.random() * count);
  const tries = canTryLock ? count : triesWithoutTryLock;
  for (let index = 0; index < Math.min(count, tries); index++) {
    const file = await lock(`${folder}/${name}.${(first + index) % count}`);
    if (file !== undefined) return placeOf(file);
  }
  return undefined;
}

/**
 * As {@link takePlace}, but wait until there is a place.
 *
 * @returns undefined if there was none for so many seconds
 */
export async function awaitPlace(
  name: string,
  count: number,
  seconds: number,
): Promise<Place | undefined> {
  if (!canTryLock) return await awaitAnyPlace(name, count, seconds);
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const place = await takePlace(name, count);
    if (place !== undefined || performance.now() >= deadline) return place;
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (1 + Math.random())));
  }
}

/** Where Deno can only wait for a lock, and never stops: for one of them, for whichever it is. */
async function awaitAnyPlace(name: string, count: number, seconds: number) {
  const folder = placesFolder();
  if (folder === undefined) return noPlace;
  const file = openPlace(`${folder}/${name}.${Math.floor(Math.random() * count)}`);
  return await isDoneWithin(seconds * 1000, file.lock(true)) ? placeOf(file) : undefined;
}

/** Undefined where places cannot be counted. */
function placesFolder(): string | undefined {
  try {
    const folder = `${privatePlace()}/places`;
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folder;
  } catch {
    return undefined;
  }
}

const noPlace: Place = { giveBack() {} };

function placeOf(file: Deno.FsFile): Place {
  let isGivenBack = false;
  return {
    giveBack() {
      if (!isGivenBack) file.close();
      isGivenBack = true;
    },
  };
}

/** How often all places are tried, in milliseconds, and up to half as often. */
const pauseMs = 100;

/** Whether Deno can try to take a lock: since 2.9. Before it can only wait for one. */
const canTryLock = "tryLockSync" in Deno.FsFile.prototype;

/** Each wait that comes to nothing holds up a thread, until the process ends. */
const triesWithoutTryLock = 3;
const waitMs = 50;

const openPlace = (path: string) =>
  Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });

/** The file, if nobody else had it locked. */
async function lock(path: string): Promise<Deno.FsFile | undefined> {
  const file = openPlace(path);
  if (!canTryLock) return await isDoneWithin(waitMs, file.lock(true)) ? file : undefined;
  if (file.tryLockSync(true)) return file;
  file.close();
  return undefined;
}

async function isDoneWithin(milliseconds: number, work: Promise<void>): Promise<boolean> {
  let timer;
  const late = new Promise<false>((resolve) => timer = setTimeout(resolve, milliseconds, false));
  const isDone = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return isDone;
}
