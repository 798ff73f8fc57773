import { bash, run } from "./command.ts";
import type { Workshop } from "./mod.ts";

/** A new btrfs in a sparse image file; unmounted with its scope, which frees the loop device too. */
export class Btrfs implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** @param bytes what is to fit into it */
  static async make(name: string, bytes: number, { folder, signal }: Workshop): Promise<Btrfs> {
    const path = `${folder}/${name}`;
    const line = 'truncate -s "$2" "$1.img"; mkfs.btrfs -q "$1.img"; mkdir "$1"; ' +
      'mount -o loop "$1.img" "$1"';
    await bash(line, [path, String(Math.ceil(bytes) + (1 << 30))], { signal });
    return new Btrfs(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(["umount", "--lazy", this.path], { signal: new AbortController().signal });
  }
}

/** False, and said, where no btrfs can be mounted. */
export function canMount(workshop: Workshop, name: string): boolean {
  if (Deno.uid() === 0) return true;
  workshop.tell(`${name}: not measured: it needs root`);
  return false;
}
