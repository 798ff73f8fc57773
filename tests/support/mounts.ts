import { sh, tryRun } from "./sh.ts";

/** A mounted filesystem that goes with its scope. */
export class Mount implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** A filesystem in memory, of so many MiB. */
  static async tmpfs(path: string, megabytes: number, ...options: string[]): Promise<Mount> {
    Deno.mkdirSync(path, { recursive: true });
    const all = [`size=${megabytes}m`, ...options].join();
    await sh("mount", "-t", "tmpfs", "-o", all, "plasma-test", path);
    return new Mount(path);
  }

  /** A new ext4 in an image file of so many MiB. */
  static async ext4(image: string, path: string, megabytes: number): Promise<Mount> {
    await sh("truncate", "-s", `${megabytes}M`, image);
    await sh("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", image);
    return await Mount.image(image, path);
  }

  /** An image file. Nothing is written to it before a sync: a copy of it is a power cut. */
  static async image(image: string, path: string): Promise<Mount> {
    Deno.mkdirSync(path, { recursive: true });
    await sh("mount", "-o", "loop,commit=300", image, path);
    return new Mount(path);
  }

  static async proc(path: string): Promise<Mount> {
    Deno.mkdirSync(path, { recursive: true });
    await sh("mount", "-t", "proc", "plasma-test", path);
    return new Mount(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { code } = await tryRun("umount", this.path);
    if (code !== 0) await tryRun("umount", "--lazy", this.path);
  }
}
