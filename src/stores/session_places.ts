import { PlasmaError } from "../errors.ts";
import { awaitPlace, type Place, takePlace } from "../system/places.ts";

/**
 * So many processes serve one key at a time, by its root; further ones answer that we are busy. One
 * that waits takes some 15 MB, and an agent has two at most. What goes on for hours does not count:
 * uploads have a limit of their own, the rest has other places.
 */
const maximumSessions = 64;

/**
 * So many of them do something at a time, the others wait for their turn: with all that a storage folder
 * can hold a request takes up to 300 MB. Nobody has a turn while he waits for the other side.
 */
const maximumWorking = 4;
const turnSeconds = 40;

/** The places of a key for what may take hours, and for a verification also a gigabyte and a half. */
const longPlaces = { downloads: 8, verifications: 2 } as const;

/**
 * What a request needs takes as much memory again as it takes to wait for one: it is loaded when the
 * request has come. So few load it while they wait, for agents open their sessions ahead.
 */
const maximumLoaded = 4;
/** What opens a session with its request has no use for that, in milliseconds. */
const loadAfterMs = 100;

/** Agents come back by themselves. */
function busy(what: string): PlasmaError {
  return new PlasmaError("storage", `busy: ${what} of this key are being served`, {
    code: "busy",
    remedy: "try again in a minute",
  });
}

/** What one `plasma serve` may take of the storage host. */
export class SessionPlaces {
  readonly #name: string;
  #place: Place | undefined;
  #turn: Place | undefined;

  /** @param root undefined for the key of a login that may do everything, for many storage folders */
  private constructor(readonly root: string | undefined) {
    this.#name = nameOf(root);
  }

  /** @throws {PlasmaError} with the code "busy" */
  static async take(root: string | undefined): Promise<SessionPlaces> {
    const places = new SessionPlaces(root);
    places.#place = await takePlace(places.#name, maximumSessions);
    if (places.#place === undefined) throw busy(`${maximumSessions} connections`);
    return places;
  }

  /** Load what requests need while none comes, if not too many do that. */
  loadAhead(load: () => Promise<unknown>): Disposable {
    let taken: Promise<Place | undefined> | undefined;
    const begin = async () => {
      const place = await takePlace(`loaded-${this.#name}`, maximumLoaded);
      if (place !== undefined) await load();
      return place;
    };
    const timer = setTimeout(() => taken = begin().catch(() => undefined), loadAfterMs);
    return {
      [Symbol.dispose]() {
        clearTimeout(timer);
        void taken?.then((place) => place?.giveBack());
      },
    };
  }

  /**
   * Wait for the turn to work on a request.
   *
   * @throws {PlasmaError} with the code "busy"
   */
  async takeTurn(): Promise<void> {
    if (this.root === undefined) return;
    this.#turn = await awaitPlace(`working-${this.#name}`, maximumWorking, turnSeconds);
    if (this.#turn === undefined) throw busy(`${maximumWorking} requests`);
  }

  endTurn(): void {
    this.#turn?.giveBack();
  }

  /** Wait for the other side, while it is the turn of others. Throws as {@link takeTurn} does. */
  async whileOthersWork<T>(wait: () => Promise<T>): Promise<T> {
    this.endTurn();
    const result = await wait();
    await this.takeTurn();
    return result;
  }

  /** What goes on now has limits of its own. */
  giveBack(): void {
    this.#place?.giveBack();
    this.endTurn();
  }

  /**
   * What may take long begins.
   *
   * @throws {PlasmaError} with the code "busy"
   */
  async enter(what: keyof typeof longPlaces): Promise<void> {
    const count = this.root === undefined ? maximumSessions : longPlaces[what];
    const place = await takePlace(`${what}-${this.#name}`, count);
    if (place === undefined) throw busy(`${count} ${what}`);
    this.giveBack();
    this.#place = place;
  }
}

/** What the sessions of one key are counted by. */
function nameOf(root: string | undefined): string {
  if (root === undefined) return "serve";
  const { dev, ino } = Deno.statSync(root);
  return `serve-${dev}-${ino}`;
}
