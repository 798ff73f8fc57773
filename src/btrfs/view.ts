import type { Command } from "../system/process.ts";

/** Something that is shown at a place of the view. */
export interface Binding {
  /** A path of the system; "" for an empty folder, in which others are shown. */
  readonly source: string;
  /** Where it is to be seen; absolute, within the view. */
  readonly target: string;
}

/** The exit status by which the script says that it could not build the view. */
export const viewFailed = 97;

/**
 * Builds the view and becomes the command: $1 is the folder, then come pairs of source and target up
 * to "--", then the command. Runs in a mount namespace of its own, which the kernel removes with its
 * last process: nothing of this is ever seen outside or left behind, however the run ends.
 */
const script = `
set -u
fail() { echo "cannot build the view: $1" >&2; exit ${viewFailed}; }
view=$1
shift
mount -n -t tmpfs -o mode=0700 plasma "$view" || fail "no tmpfs on $view"
while [ "$1" != -- ]; do
  source=$1 target=$view$2
  shift 2
  if [ -z "$source" ]; then
    [ -d "$target" ] || mkdir -p "$target" || fail "$target is missing in what holds it"
    mount -n -t tmpfs -o mode=0755 plasma "$target" || fail "no tmpfs on $target"
    continue
  elif [ -d "$source" ]; then
    [ -d "$target" ] || mkdir -p "$target" || fail "$target is missing in what holds it"
  elif [ ! -e "$target" ]; then
    mkdir -p "\${target%/*}" && : >"$target" || fail "$target is missing in what holds it"
  fi
  mount -n -o bind,ro "$source" "$target" || fail "$source cannot be seen at $target"
done
shift
exec "$@"
`;

/**
 * The command that runs another one where the bindings are seen below a folder.
 *
 * @param folder an empty folder; outside of the command it stays empty
 * @param bindings upper ones before those below them
 */
export function withView(
  folder: string,
  bindings: readonly Binding[],
  { program, args }: Command,
): Command {
  return {
    program: "unshare",
    args: [
      ...namespaceFlags,
      "sh",
      "-c",
      script,
      "sh",
      folder,
      ...bindings.flatMap(({ source, target }) => [source, target]),
      "--",
      program,
      ...args,
    ],
  };
}

/** The flags of unshare(1) for a mount namespace that nothing escapes from. */
export const namespaceFlags = ["--mount", "--propagation", "private", "--"] as const;
