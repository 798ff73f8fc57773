/** The path of a file of this project. */
export function fromRoot(path: string): string {
  return new URL(`../../${path}`, import.meta.url).pathname;
}

/** A temporary folder that goes with its scope. */
export class TemporaryFolder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "plasma-test-" });

  /** The path of something in it. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Write a file, and the folders above it. */
  write(name: string, content: string | Uint8Array): string {
    const path = this.at(name);
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    return path;
  }

  /** Make a storage folder with a policy. */
  storage(name: string, policy: object = { daily: 5, weekly: 3, monthly: 2 }): string {
    this.write(`${name}/plasma-rotate.json`, JSON.stringify({ policy }));
    return this.at(name);
  }

  [Symbol.dispose](): void {
    for (let tries = 10;; tries--) {
      try {
        Deno.removeSync(this.path, { recursive: true });
        return;
      } catch (error) {
        // What was killed may be at work for another moment.
        if (tries === 0 || error instanceof Deno.errors.NotFound) throw error;
      }
    }
  }
}

/** The names in a folder, sorted; empty if it does not exist. */
export function namesIn(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The archives in a storage folder, oldest first. */
export function archivesIn(path: string): string[] {
  return namesIn(path).filter((name) =>
    /^\d{8}-\d{4,6}-[a-z]+\.(tar[.a-z]*|btrfs)$/.test(name) &&
    !name.endsWith(".sha256")
  );
}
