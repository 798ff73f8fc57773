import { assertEquals } from "@std/assert";
import { pythonTar } from "./archives.ts";
import { namesIn, TemporaryFolder } from "./folders.ts";
import { plasma, type PlasmaOptions } from "./plasma.ts";

/** A storage with archives of somebody's making, a target, and a folder beside it that is none. */
export class HostileSite implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly storage = this.folder.storage("storage");
  readonly target = this.folder.at("target");
  readonly outside = this.folder.at("outside");

  constructor() {
    this.folder.write("outside/precious", "precious");
  }

  /** Store an archive, by lines for `pythonTar`; `OUT` stands for the folder outside. */
  async put(day: number, lines: string): Promise<void> {
    const name = `2025010${day}-0000-daily.tar`;
    await pythonTar(`${this.storage}/${name}`, lines.replaceAll("OUT", this.outside));
  }

  async restore(word = "latest", ...flags: string[]) {
    return await this.restoreInto(this.target, [word, ...flags]);
  }

  async restoreInto(target: string, args: readonly string[], options: PlasmaOptions = {}) {
    return await plasma(["restore", "--from", this.storage, "--target", target, ...args], options);
  }

  /** Nothing beside the target was written, changed or linked. */
  assertUntouched(): void {
    assertEquals(namesIn(this.folder.path).filter((name) => name !== "target"), [
      "outside",
      "storage",
    ]);
    this.assertOutsideUntouched();
  }

  assertOutsideUntouched(): void {
    assertEquals(namesIn(this.outside), ["precious"]);
    const path = `${this.outside}/precious`;
    assertEquals(Deno.readTextFileSync(path), "precious");
    const { nlink, uid, mode } = Deno.lstatSync(path);
    assertEquals([nlink, uid, mode! & 0o7777], [1, Deno.uid(), 0o644]);
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}
