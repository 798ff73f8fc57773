import { PlasmaError } from "../errors.ts";
import type { Stage } from "../system/pipeline.ts";
import { type Command, run } from "../system/process.ts";

/**
 * Where the programs of a restore work. They start in a folder that is known by its inode and by the
 * path that the kernel gives it, whatever others do to names; and if they are confined, they see it in
 * a mount namespace of their own, on mounts that follow no symbolic link (`nosymfollow`, mount(8)).
 * Names in an archive lead downwards only, so there nothing leads out of the folder: no link that was
 * there before, none that the archive brings, and none that somebody puts in the way meanwhile.
 */
export interface Place {
  /** The folder, without symbolic links. */
  readonly path: string;
  /** Device and inode of it. */
  readonly identity: string;
  /** An empty private folder, where confined programs see it; undefined if they are not confined. */
  readonly view: string | undefined;
  /** A folder in it in which to work. */
  readonly inner?: { readonly name: string; readonly identity: string } | undefined;
}

/** The exit status by which the script says that it could not reach the place. */
const notReached = 97;

/** What all scripts here begin with. A path may end with newlines, hence the x. */
const common = `
set -u
fail() { printf '%s\\n' "$1" >&2; exit ${notReached}; }
here() { [ "$(env pwd -P && echo x)" = "$1
x" ]; }
identity() { stat -c %d:%i .; }
enter() { cd -P -- "$1" && [ "$(identity)" = "$2" ] || fail "$3"; }
`;

const enterScript = `${common}
path=$1 identity=$2 view=$3 inner=$4 innerIdentity=$5
shift 5
enter "$path" "$identity" "another folder is in the place of $path"
here "$path" || fail "$path is reached through a symbolic link"
if [ -n "$view" ]; then
  mounts() { grep -F " $view" /proc/self/mountinfo; }
  mount -n -c --rbind . "$view" || fail "cannot bind $path"
  mounts | cut -d ' ' -f 5 | sed 's/%/%%/g' | while read -r point; do
    mount -n -o remount,bind,nosymfollow "$(printf -- "$point")" || exit
  done || fail "cannot forbid links on a mount in $path"
  # Of mounts that are stacked on each other the last one counts
  if mounts | tac | sort -s -u -k 5,5 | cut -d ' ' -f 6 | grep -qv nosymfollow; then
    fail "mounts in $path were changed meanwhile"
  fi
  enter "$view" "$identity" "another folder is in the place of $path"
fi
[ -z "$inner" ] || enter "./$inner" "$innerIdentity" "another folder is in the place of $path/$inner"
exec "$@"
`;

/** The flags of unshare(1) for a mount namespace that nothing escapes from. */
const namespaceFlags = ["--mount", "--propagation", "private", "--"] as const;

/** The command that runs another one in a place. */
export function commandIn(place: Place, { program, args }: Command): Command {
  const { path, identity, view, inner } = place;
  const words = [path, identity, view ?? "", inner?.name ?? "", inner?.identity ?? ""];
  const script = ["-c", enterScript, "sh", ...words, program, ...args];
  if (view === undefined) return { program: "sh", args: script };
  return { program: "unshare", args: [...namespaceFlags, "sh", ...script] };
}

/** A stage of a pipeline that works in a place. */
export function stageIn(place: Place, { command, judge }: Stage): Stage {
  return {
    command: commandIn(place, command),
    judge(exit, messages) {
      if (exit.code === notReached) throw unreached(messages.at(-1) ?? "no reason was given");
      return judge(exit, messages);
    },
  };
}

/**
 * Run a program in a place to its end; its standard output.
 *
 * @param what it does, for the message
 * @throws {PlasmaError} if it fails
 */
export async function runIn(place: Place, what: string, command: Command): Promise<Uint8Array> {
  const { exit, stdout, messages } = await run(commandIn(place, command), {
    maximumOutput: 1 << 30,
  });
  if (exit.code === 0) return stdout;
  if (exit.code === notReached) throw unreached(messages.tail);
  throw new PlasmaError("restore", `cannot ${what}: ${messages.tail}`);
}

function unreached(words: string): PlasmaError {
  return new PlasmaError("restore", `cannot work in the target: ${words}`, {
    remedy: "restore to where only you can change the folders above",
  });
}

const tryScript = `
mount -n --bind "$1" "$1" && mount -n -o remount,bind,nosymfollow "$1" &&
  grep -F " $1 " /proc/self/mountinfo | grep -q nosymfollow
`;

/**
 * Try whether programs can be confined here.
 *
 * @param folder an empty private folder
 * @returns why not, or undefined if they can
 */
export async function whyNotConfined(folder: string): Promise<string | undefined> {
  const args = [...namespaceFlags, "sh", "-c", tryScript, "sh", folder];
  const { exit, messages } = await run({ program: "unshare", args });
  if (exit.code === 0) return undefined;
  return messages.tail === "" ? "mount(8) or the kernel does not know nosymfollow" : messages.tail;
}

const openScript = `${common}
parent=$1 name=$2 path=$3 way=$4 inner=$5
cd -P -- "$parent" && here "$parent" || fail "$parent is reached through a symbolic link"
[ "$way" != make ] || mkdir -m 0700 -- "./$name" || exit
cd -P -- "./$name" && here "$path" || fail "another folder is in the place of $path"
identity=$(identity)
if [ -n "$(find . -mindepth 1 -maxdepth 1 -printf x -quit)" ]; then
  echo "$identity full"
elif [ -z "$inner" ]; then
  echo "$identity empty"
else
  mkdir -m 1700 -- "./$inner" && cd -P -- "./$inner" && here "\${path%/}/$inner" || exit
  echo "$identity empty $(identity)"
fi
`;

/** A folder that was found, or made. */
export interface Opened {
  readonly identity: string;
  readonly isEmpty: boolean;
  /** Device and inode of the inner folder, if one was made. */
  readonly innerIdentity: string | undefined;
}

/**
 * Open the folder at a path that has no symbolic links in it, and follow none that is put there.
 *
 * @param make whether the folder is to be made, with mode 0700
 * @param inner the name of a folder to make in it if it is empty, mode 1700; or ""
 * @throws {PlasmaError} if something else is there
 */
export async function openFolder(path: string, make: boolean, inner: string): Promise<Opened> {
  const end = path.lastIndexOf("/");
  const words = [path.slice(0, end) || "/", path.slice(end + 1) || ".", path];
  const args = ["-c", openScript, "sh", ...words, make ? "make" : "find", inner];
  const { exit, stdout, messages } = await run({ program: "sh", args });
  if (exit.code === notReached) throw unreached(messages.tail);
  if (exit.code !== 0) {
    throw new PlasmaError("restore", `cannot use ${path}: ${messages.tail}`);
  }
  const [identity, state, innerIdentity] = new TextDecoder().decode(stdout).trim().split(" ");
  return { identity: identity!, isEmpty: state === "empty", innerIdentity };
}
