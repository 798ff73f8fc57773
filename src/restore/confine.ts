import { PlasmaError } from "../errors.ts";
import { namespaceFlags } from "../system/namespace.ts";
import type { Stage } from "../system/pipeline.ts";
import { type Command, run, type RunOptions } from "../system/process.ts";

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
  readonly inner?: InnerFolder | undefined;
}

/** A folder that was made in the target. */
interface InnerFolder {
  /** Its path from the target. */
  readonly path: string;
  readonly identity: string;
  /** Its mode, owner and group when it was made. */
  readonly state: string;
}

/** The exit status by which the scripts say that a place cannot be reached, or is not safe. */
const notReached = 97;

/**
 * What the scripts begin with. The shell asks the kernel where it is when it enters a folder; that path
 * shows whether a link led there. Paths may end with newlines, hence the x here and below.
 */
const common = `
set -u
fail() { printf '%s\\n' "$1" >&2; exit ${notReached}; }
enter() { cd -P -- "$1" && [ "$(pwd -P && echo x)" = "$2
x" ] || fail "$2 is no folder any more, or a symbolic link leads there"; }
`;

/**
 * $1 to $4 are the path, the view, the inner folder, and the identity of the folder to work in; then
 * comes the command. The mounts in the target are copied with it, and each is forbidden to follow
 * links; where mounts are stacked on each other, the last one counts.
 */
const placeScript = `${common}
path=$1 view=$2 inner=$3 identity=$4
shift 4
enter "$path" "$path"
if [ -n "$view" ]; then
  mounts() { grep -F " $view" /proc/self/mountinfo; }
  unguarded() { cut -d ' ' -f 5,6 | grep -v ' .*nosymfollow'; }
  mount -n -c -o rbind,nosymfollow . "$view" || fail "cannot bind $path"
  if [ -n "$(mounts | unguarded)" ]; then
    mounts | cut -d ' ' -f 5 | sed 's/%/%%/g' | while read -r point; do
      point=$(printf "\${point}x")
      mount -n -o remount,bind,nosymfollow "\${point%x}" || {
        echo "\${point%x}: another mount may hide it: unmount one of them for the restore" >&2
        exit 1
      }
    done || fail "cannot forbid links on a mount in $path"
    [ -z "$(mounts | tac | sort -s -u -k 5,5 | unguarded)" ] ||
      fail "something was mounted in $path meanwhile"
  fi
  enter "$view" "$view"
fi
[ -z "$inner" ] || cd -P -- "./$inner" || fail "$inner in $path is not there any more"
[ "$(stat -c %d:%i .)" = "$identity" ] || fail "another folder is in the place of $path"
exec "$@"
`;

/** The command that runs another one in a place. */
export function commandIn(place: Place, command: Command): Command {
  const { program, args } = command;
  const { path, identity, view, inner } = place;
  const words = [path, view ?? "", inner?.path ?? "", inner?.identity ?? identity];
  const script = ["-c", placeScript, "sh", ...words, program, ...args];
  if (view === undefined) return { ...command, program: "sh", args: script };
  return { ...command, program: "unshare", args: [...namespaceFlags, "sh", ...script] };
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
export async function runIn(
  place: Place,
  what: string,
  command: Command,
  options: RunOptions = {},
): Promise<Uint8Array> {
  const { exit, stdout, messages, overflowed } = await run(commandIn(place, command), options);
  options.signal?.throwIfAborted();
  if (overflowed) {
    throw new PlasmaError("restore", `cannot ${what}: there is too much to say of it`);
  }
  if (exit.code === 0) return stdout;
  if (exit.code === notReached) throw unreached(messages.tail);
  throw new PlasmaError("restore", `cannot ${what}: ${messages.tail}`);
}

function unreached(words: string): PlasmaError {
  return new PlasmaError("restore", `cannot work in the target: ${words}`, {
    remedy: "restore to where only you can change the folders above",
  });
}

/** The exit status by which the script says that it may not go on without a namespace. */
const notConfined = 98;

/**
 * $1 to $3 are the folder above, the name and the path of the target, $4 whether it is to be made, $5 the
 * inner folder, $6 the view with which confinement is tried, $7 whether there is no way without,
 * $8 the group of the inner folder.
 */
const openScript = `${common}
uid=$(id -u)
# Whose the folder above is can at once put something else in the place of what was made: one that is
# open to him, or in a filesystem of his own, which he mounts there, one that says it is ours. Others
# than root have no secrets, and filesystems that know no modes.
requireOwn() {
  case $uid:$(stat -c '%d %u %04a' .) in
    "0:$device 0 "[02]700 | [1-9]*":$device $uid "*) ;;
    *) fail "another folder is in the place of $1, which was just made" ;;
  esac
}
parent=$1 name=$2 path=$3 make=$4 inner=$5 view=$6 must=$7 mark=$8
why='only root can make one'
if [ -n "$view" ]; then
  why='mount(8) or the kernel does not know nosymfollow'
  if words=$(mount -n -o bind,nosymfollow "$view" "$view" 2>&1); then
    grep -F " $view " /proc/self/mountinfo | grep -q ' [^ ]*nosymfollow' && why=
  else
    why=$words
  fi
  if [ -n "$why" ] && [ -n "$must" ]; then
    printf '%s\\n' "$why" >&2
    exit ${notConfined}
  fi
fi
enter "$parent" "$parent"
device=$(stat -c %d .)
[ -z "$make" ] || mkdir -m 0700 -- "./$name" || exit
enter "./$name" "$path"
state=empty
[ -z "$(find . -mindepth 1 -maxdepth 1 -printf x -quit)" ] || state=full
if [ -n "$make" ]; then
  requireOwn "$path"
  [ "$state" = empty ] || fail "$path holds something, though it was just made"
fi
[ "$state" = empty ] || inner=
echo "$state"
stat -c %d:%i . || exit
if [ -n "$inner" ]; then
  outer=\${inner%/*}
  device=$(stat -c %d .)
  mkdir -m 0700 -- "./$outer" || exit
  enter "./$outer" "\${path%/}/$outer"
  requireOwn "\${path%/}/$outer"
  files=./\${inner##*/}
  mkdir -m 1700 -- "$files" || exit
  # Where not all groups can be given away it keeps its own
  chgrp "$mark" "$files" 2>/dev/null
  stat -c '%d:%i %a:%u:%g' "$files" || exit
fi
printf '%s' "$why"
`;

/** What is to be opened. */
export interface OpenOrder {
  /** Without symbolic links. */
  readonly path: string;
  /** Whether the folder is to be made, with mode 0700. */
  readonly make: boolean;
  /** NAME/NAME of two folders to make in it if it is empty, modes 0700 and 1700; or "". */
  readonly inner: string;
  /** An empty private folder if confinement is to be tried, else "". */
  readonly view: string;
  /** Whether nothing may be touched where it is not possible. */
  readonly mustConfine: boolean;
}

/** A folder that was found or made. */
export interface Opened {
  readonly identity: string;
  readonly isEmpty: boolean;
  /** The innermost folder, if one was made. */
  readonly inner: Place["inner"];
  /** Undefined if programs can be confined. */
  readonly whyNotConfined: string | undefined;
}

/**
 * Open the target, and follow no link that was put there.
 *
 * @returns only the reason, if it could not be opened without being confined
 * @throws {PlasmaError} if something else is there
 */
export async function openFolder(order: OpenOrder): Promise<Opened | string> {
  const { path, make, inner, view, mustConfine } = order;
  const end = path.lastIndexOf("/");
  const above = [path.slice(0, end) || "/", path.slice(end + 1) || "."];
  const must = mustConfine ? "must" : "";
  const words = [...above, path, make ? "make" : "", inner, view, must, randomGroup()];
  const shell = ["sh", "-c", openScript, "sh", ...words];
  const { exit, stdout, messages } = await run(
    view === ""
      ? { program: "sh", args: shell.slice(1) }
      : { program: "unshare", args: [...namespaceFlags, ...shell] },
  );
  if (exit.code === notConfined) return messages.tail;
  if (exit.code === notReached) throw unreached(messages.tail);
  if (exit.code !== 0 && messages.tail.startsWith("unshare:")) {
    if (mustConfine) return messages.tail;
    const opened = await openFolder({ ...order, view: "" });
    return typeof opened === "string" ? opened : { ...opened, whyNotConfined: messages.tail };
  }
  if (exit.code !== 0) throw new PlasmaError("restore", `cannot use ${path}: ${messages.tail}`);
  const [state, folder, ...rest] = new TextDecoder().decode(stdout).split("\n");
  const [innerIdentity, innerState] = state === "empty" && inner !== ""
    ? rest.shift()!.split(" ")
    : [];
  const why = rest.join(" ");
  return {
    identity: folder!,
    isEmpty: state === "empty",
    inner: innerIdentity === undefined
      ? undefined
      : { path: inner, identity: innerIdentity, state: innerState! },
    whyNotConfined: why === "" ? undefined : why,
  };
}

/** A group that no archive has, by chance or else: whoever made it cannot know the number. */
const randomGroup = () =>
  String(2 ** 30 + crypto.getRandomValues(new Uint32Array(1))[0]! % 2 ** 30);
