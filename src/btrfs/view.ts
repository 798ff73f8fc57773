import fs from "node:fs";
import { createPrivate } from "../system/durable.ts";
import { escapeMountPath } from "../system/mounts.ts";
import type { Command } from "../system/process.ts";
import { noLinks, topFailed } from "./tops.ts";

/** Something that is shown at a place of the view. */
export interface Binding {
  /** A path of the system; "" for an empty folder, in which others are shown. */
  readonly source: string;
  /** Where it is to be seen; absolute, within the view. */
  readonly target: string;
  /**
   * What must be at the source if others can change its path: the device ("major:minor"), and the
   * path in it as mountinfo has it; "" if they cannot.
   */
  readonly expected: string;
  /** Whether there is no archive without it. */
  readonly isNeeded: boolean;
}

/**
 * Shows one thing: $1 is its number, $2 "needed" or "", $3 the source, $4 the target, $5 what must
 * be there, $6 the target as mountinfo has it. No link is followed in what is shown, neither by the
 * kernel nor by mount(8) itself (-c), so that nothing is ever mounted or unmounted outside of the view.
 * What cannot be shown is noted with its number and the reason.
 */
const bind = `
fail() {
  printf "%s %s\\0" "$number" "$1" >>"$view.missing"
  [ -n "$needed" ] || exit 0
  echo "cannot build the view: $source cannot be seen at $target: $1" >&2
  exit 255
}
attempt() {
  words=$("$@" 2>&1) && return
  umount -n -c -l "$target" 2>/dev/null
  words=\${words##*: }
  fail "\${words%%.*}"
}
number=$1 needed=$2 source=$3 target=$4 expected=$5 shown=$6
if [ -z "$source" ] || [ -d "$source" ]; then
  [ -d "$target" ] || mkdir -p "$target" 2>/dev/null
else
  [ -e "$target" ] || { mkdir -p "\${target%/*}" && : >"$target"; } 2>/dev/null
fi || fail "its place is missing in what holds it"
if [ -z "$source" ]; then
  attempt mount -n -c -t tmpfs -o mode=0755,${noLinks} plasma "$target"
  exit 0
fi
attempt mount -n -c -o bind,ro,${noLinks} "$source" "$target"
[ -n "$expected" ] || exit 0
while read -r _ _ device root path _; do
  [ "$path" != "$shown" ] || seen="$device $root"
done </proc/self/mountinfo
[ "$seen" != "$expected" ] || exit 0
umount -n -c -l "$target" || exit 255
fail "something else was in its place"
`;

/** $1 is the folder of the view, then comes the command. */
const script = `
set -u
export view=$1
shift
: >"$view.missing" && mount -n -t tmpfs -o mode=0700,${noLinks} plasma "$view" &&
  xargs -0 -r -x -n 6 sh -c '${bind}' sh <"$view.list" || exit ${topFailed}
exec "$@"
`;

/** A folder in which a command sees the bindings; what it needs beside it is `FOLDER.*`. */
export class View {
  readonly #folder: string;
  readonly #bindings: readonly Binding[];

  /**
   * @param folder does not exist yet; outside of the command it stays empty
   * @param bindings upper ones before those below them
   */
  constructor(folder: string, bindings: readonly Binding[]) {
    this.#folder = folder;
    this.#bindings = bindings;
    Deno.mkdirSync(folder, { mode: 0o700 });
    const words = bindings.flatMap(({ source, target, expected, isNeeded }, number) => {
      const path = folder + target;
      return [`${number}`, isNeeded ? "needed" : "", source, path, expected, escapeMountPath(path)];
    });
    fs.closeSync(createPrivate(`${folder}.missing`));
    const file = createPrivate(`${folder}.list`);
    fs.writeFileSync(file, words.map((word) => `${word}\0`).join(""));
    fs.closeSync(file);
  }

  /** The command that runs another one where the bindings are seen; within withTops(). */
  command({ program, args }: Command): Command {
    return { program: "sh", args: ["-c", script, "sh", this.#folder, program, ...args] };
  }

  /** What could not be shown when the command ran last, with the reasons. */
  missing(): { binding: Binding; reason: string }[] {
    const lines = Deno.readTextFileSync(`${this.#folder}.missing`).split("\0").slice(0, -1);
    return lines.map((line) => {
      const space = line.indexOf(" ");
      return {
        binding: this.#bindings[Number(line.slice(0, space))]!,
        reason: line.slice(space + 1),
      };
    });
  }
}
