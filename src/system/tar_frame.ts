/** Tells from the first and the last bytes whether there can be a whole tar between them. */
export class TarFrame {
  static readonly #end = 1024;
  /** One record with our blocking factor; tar's own is smaller. */
  static readonly #longestEmpty = 128 * 512;
  #bytes = 0;
  #isZero = true;
  #startsWithHeader: boolean | undefined;
  /** How many of the last bytes are zero, as far as it matters. */
  #zeros = 0;

  update(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= TarFrame.#longestEmpty) this.#isZero &&= chunk.every((byte) => byte === 0);
    this.#startsWithHeader ??= chunk.subarray(0, 512).some((byte) => byte !== 0);
    const start = Math.max(0, chunk.length - TarFrame.#end);
    for (let index = chunk.length - 1; index >= start; index--) {
      if (chunk[index] !== 0) {
        this.#zeros = chunk.length - 1 - index;
        return;
      }
    }
    this.#zeros = Math.min(TarFrame.#end, this.#zeros + chunk.length - start);
  }

  get isComplete(): boolean {
    return this.#startsWithHeader === true && this.#zeros >= TarFrame.#end;
  }

  get isEmpty(): boolean {
    const isRecord = this.#bytes >= TarFrame.#end && this.#bytes % 512 === 0;
    return this.#isZero && isRecord && this.#bytes <= TarFrame.#longestEmpty;
  }
}
