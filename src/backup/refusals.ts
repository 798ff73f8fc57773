import type { SentSubvolume } from "../strategies/mod.ts";
import type { PlannedSend } from "./send_plan.ts";

/** A subvolume of which so many increments were refused is sent as a whole. */
const mostTries = 2;

/**
 * What a store has refused of the increments of an attempt, and what is not tried any more for that.
 *
 * A refusal that ends the stream costs a connection. If something is wrong with all that is stored they
 * must not be thousands, and yet a user whose own subvolumes are refused night by night must not have
 * those of the others sent as a whole. So as long as one increment after the other is refused, twice as
 * many of those that follow are sent as a whole untried: the first increment that is accepted ends that.
 */
export class Refusals {
  readonly #parents = new Set<string>();
  readonly #whole = new Set<SentSubvolume>();
  readonly #tries = new Map<SentSubvolume, number>();
  #inARow = 0;

  /** The identities that nothing is to be built upon. */
  get parents(): ReadonlySet<string> {
    return this.#parents;
  }

  /** What is to be sent as a whole. */
  get whole(): ReadonlySet<SentSubvolume> {
    return this.#whole;
  }

  get isNone(): boolean {
    return this.#parents.size === 0;
  }

  noteAccepted({ parent }: PlannedSend): void {
    if (parent !== undefined) this.#inARow = 0;
  }

  /** What was to be copied is not there. */
  noteGone(identity: string): void {
    this.#parents.add(identity);
  }

  /** @param untold what was to come after the last of them, if that ended the stream */
  noteRefused(refused: readonly PlannedSend[], untold: readonly PlannedSend[]): void {
    const isFirst = refused.map((one) => this.#noteTry(one)).includes(1);
    // A second one of the same subvolume says nothing more of the others.
    if (untold.length === 0 || !isFirst) return;
    const untried = untold.filter(({ parent }) => parent !== undefined)
      .slice(0, 2 ** this.#inARow++ - 1);
    for (const { subvolume } of untried) this.#whole.add(subvolume);
  }

  #noteTry({ subvolume, parent }: PlannedSend): number {
    this.#parents.add((parent ?? subvolume.snapshot).identity);
    const tries = (this.#tries.get(subvolume) ?? 0) + 1;
    this.#tries.set(subvolume, tries);
    if (tries >= mostTries) this.#whole.add(subvolume);
    return tries;
  }
}
