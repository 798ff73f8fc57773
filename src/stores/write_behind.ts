import { run } from "../system/process.ts";

/** So much must have come before it is worth a sync, in bytes. */
const worthwhile = 64 << 20;

/**
 * Brings what is received to the disk while more of it comes. Else the kernel keeps in memory what it
 * can, and at the end all wait for the disk while the connection is idle.
 */
export class WriteBehind {
  #begun = 0;
  #running: Promise<unknown> | undefined;

  /** @param path a folder in the filesystem */
  constructor(readonly path: string) {}

  /** @param bytes how much has come so far */
  update(bytes: number): void {
    if (this.#running !== undefined || bytes - this.#begun < worthwhile) return;
    this.#begun = bytes;
    // Not sync(1), which would take the news of a loss away from others, see DiskSync.
    const command = { program: "btrfs", args: ["filesystem", "sync", this.path] };
    this.#running = run(command).catch(() => {}).finally(() => this.#running = undefined);
  }

  /** Wait for the last one. */
  async finish(): Promise<void> {
    await this.#running;
  }
}
