import { PlasmaError, UsageError } from "../errors.ts";
import type { Stage } from "../system/pipeline.ts";
import type { Command, RunOptions } from "../system/process.ts";
import { withMemoryLimit } from "../system/limited.ts";
import { openFolder, type Place, runIn, stageIn } from "./confine.ts";
import { parentOf } from "../system/paths.ts";
import { requireLinksWithin } from "./links.ts";
import { locate, type Location } from "./locate.ts";

/**
 * Address space of a tar that unpacks what is not trusted. It remembers all folders until the end, so
 * others have no limit: some 200 bytes for each, and what their names and attributes take.
 */
const untrustedMegabytes = 1024;

/** Where an archive is to be unpacked. */
export interface TargetOrder {
  readonly path: string;
  /** Also into a folder that holds something. */
  readonly intoExisting: boolean;
  /** The archive is not trusted: see {@link Target.finish}. */
  readonly isUntrusted: boolean;
}

/**
 * The folder into which an archive is unpacked.
 *
 * Root unpacks into an empty folder by way of one in it that is closed to all others, so that nobody
 * meets what is not complete, not proven, or not to stay. The archive may say who may enter its top
 * folder: so that lies in the closed one. Programs of root are confined: see
 * {@link Place}.
 */
export class Target {
  readonly #place: Place;

  private constructor(
    place: Place,
    /** Whether it held something before. */
    readonly isLive: boolean,
    readonly isUntrusted: boolean,
  ) {
    this.#place = place;
  }

  /**
   * Open a folder, or make it.
   *
   * @param folder a private folder
   * @throws {UsageError} if it cannot take a restore, or not safely; then nothing was touched
   */
  static async open(order: TargetOrder, folder: string): Promise<Target> {
    const isRoot = Deno.uid() === 0;
    const location = locate(order.path, Deno.uid() ?? 0);
    const { path } = location;
    const view = isRoot ? `${folder}/view` : "";
    if (isRoot) Deno.mkdirSync(view, { mode: 0o700 });
    const name = isRoot ? `.plasma-restore-${crypto.randomUUID().slice(0, 8)}/files` : "";
    const opened = await openFolder({
      path,
      make: !location.exists,
      inner: name,
      view,
      mustConfine: isRoot && !location.isOurs,
    });
    if (typeof opened === "string") throw notSafe(location, opened);
    const { identity, isEmpty, inner, whyNotConfined } = opened;
    const isConfined = whyNotConfined === undefined;
    if (!isEmpty && !order.intoExisting) {
      throw new UsageError(
        "restore",
        `${path} is not empty`,
        "name a new folder, or say --into-existing to overwrite what is in the archive too",
      );
    }
    if (!isEmpty && order.isUntrusted) {
      throw new UsageError(
        "restore",
        `${path} is not empty, and an archive that is not trusted goes into no such folder`,
        "name a new folder",
      );
    }
    if (!isEmpty && isRoot && !isConfined) throw notSafe(location, whyNotConfined);
    if (!isEmpty && !isConfined) requireLinksWithin(path);
    const place = { path, identity, view: isConfined ? view : undefined, inner };
    return new Target(place, !isEmpty, order.isUntrusted);
  }

  get path(): string {
    return this.#place.path;
  }

  /** Whether no link can be followed in it. */
  get isConfined(): boolean {
    return this.#place.view !== undefined;
  }

  /** Where what was unpacked lies until {@link finish}. */
  get unfinished(): string {
    const { path, inner } = this.#place;
    return inner === undefined ? path : `${path === "/" ? "" : path}/${inner.path}`;
  }

  /** Take the inner folders away, if nothing is in them. Returns false if something is left there. */
  async discardIfEmpty(): Promise<boolean> {
    const { inner, ...place } = this.#place;
    if (inner === undefined) return true;
    const args = ["--", `./${inner.path}`, `./${parentOf(inner.path)}`];
    try {
      await runIn(place, "remove what is empty", { program: "rmdir", args });
      return true;
    } catch {
      return false;
    }
  }

  /** A stage that works in the folder. */
  stage(stage: Stage): Stage {
    const bounded = this.isUntrusted ? withMemoryLimit(stage, untrustedMegabytes) : stage;
    return stageIn(this.#place, bounded);
  }

  /** Run a program in the folder to its end; its standard output. */
  async run(what: string, command: Command, options: RunOptions = {}): Promise<Uint8Array> {
    return await runIn(this.#place, what, command, options);
  }

  /**
   * Give what was unpacked free: it moves up from the inner folders, and if the archive says whose
   * the folder itself is and who may enter it, that holds from now on.
   *
   * @param tarFlags those of the tar that unpacks
   * @param file a path for a file of this run
   * @returns warnings
   */
  async finish(tarFlags: readonly string[], file: string): Promise<string[]> {
    const { inner, ...place } = this.#place;
    if (inner === undefined) return [];
    const args = [
      "-c",
      finishScript,
      "sh",
      inner.path,
      inner.identity,
      inner.state,
      file,
      this.isUntrusted ? "yes" : "",
      ...tarFlags,
    ];
    const output = await runIn(place, `finish in ${this.path}`, { program: "sh", args });
    const removed = new TextDecoder().decode(output).length;
    return removed === 0 ? [] : [`left out ${removed} device files`];
  }
}

/**
 * Moves all up from the innermost folder. Whose the target is can put other folders in the place of
 * ours: so it is entered, known by its inode, and what moves does so from there to two folders up. Only
 * an archive that names the folder itself (".") has changed mode, owner or group of that one.
 */
const finishScript = `
set -u
inner=$1 identity=$2 state=$3 file=$4 untrusted=$5
shift 5
(
  cd -P -- "./$inner" && [ "$(stat -c %d:%i .)" = "$identity" ] || {
    echo "another folder is in the place of $inner" >&2
    exit 1
  }
  [ -z "$untrusted" ] ||
    find . \\( -type b -o -type c \\) -printf x -delete || exit
  [ "$(stat -c %a:%u:%g .)" = "$state" ] ||
    tar --create --file="$file" --format=posix --no-recursion --numeric-owner --acls --xattrs \\
      --xattrs-include='*' . || exit
  find . -mindepth 1 -maxdepth 1 -exec mv -n -t ../.. -- {} +
) || exit
rmdir -- "./$inner" "./\${inner%/*}" || exit
[ ! -e "$file" ] || exec tar "$@" --file="$file"
`;

function notSafe({ path, exists }: Location, why: string): PlasmaError {
  const what = exists
    ? `${path} holds something, or others can change it or a folder above it`
    : `others can change a folder above ${path}`;
  return new UsageError(
    "restore",
    `as root, and without a mount namespace (${why}), what is restored could be led elsewhere: ${what}`,
    "name a new folder where only root can change those above, or run where CAP_SYS_ADMIN is granted",
  );
}
