import { PlasmaError } from "../errors.ts";
import type { Mount } from "../system/mounts.ts";
import { type Command, type Output, run } from "../system/process.ts";
import { namespaceFlags } from "../system/namespace.ts";
import { mountPlace } from "../system/runtime_folder.ts";

/**
 * The top levels of btrfs filesystems, mounted where only one process and its children see them.
 *
 * Each subvolume has one path there, whatever is mounted elsewhere, and no symbolic link is ever
 * followed below it. All that is mounted goes with the last process: nothing can be left behind.
 */

/** The folder at the top level of a filesystem that holds the snapshots of plasma. */
export const snapshotFolder = ".plasma";

/** A filesystem whose top level can be mounted. */
export interface Top {
  /** "major:minor" as in mountinfo. */
  readonly device: string;
  /** The block device, or what else it is mounted from. */
  readonly source: string;
}

/**
 * How the top level of a filesystem can be mounted.
 *
 * @throws {PlasmaError} if it must not be written, or is mounted from nothing that is known
 */
export function topOf(device: string, mounts: readonly Mount[]): Top {
  const own = mounts.filter((mount) => mount.device === device);
  const frozen = own.find(({ isFilesystemReadOnly }) => isFilesystemReadOnly);
  if (frozen !== undefined) {
    throw new PlasmaError("snapshot", `the filesystem at ${frozen.path} is mounted read-only`, {
      code: "source",
      remedy: "make it writable, or exclude it",
    });
  }
  return { device, source: own[0]!.source };
}

/** Where the top level is seen. */
export const topPath = ({ device }: Top) => `${placeOf(device)}/top`;

/** Where the folder of the snapshots is seen. */
export const snapshotsPath = ({ device }: Top) => `${placeOf(device)}/snapshots`;

const nameOf = (device: string) => device.replace(":", "-");
const placeOf = (device: string) => `${mountPlace()}/${nameOf(device)}`;

/** The exit status that says that the filesystems could not be made ready. */
export const topFailed = 97;

/** The options with which mounts are made below which no link is to be followed. */
export const noLinks = "nosymfollow";

/**
 * $1 is where to mount, $2 whether the folder of the snapshots is needed; then come triples of
 * device, source and name up to "--", then the command. A user may own the top level and swap that
 * folder at any time: it is judged where it has been mounted, and used only there.
 */
const script = `
set -u
umask 077
fail() { echo "$1" >&2; exit ${topFailed}; }
base=$1 needed=$2
shift 2
mount -n -t tmpfs -o mode=0700 plasma "$base" || fail "cannot mount a tmpfs on $base"
while [ "$1" != -- ]; do
  device=$1 source=$2 top=$base/$3/top snapshots=$base/$3/snapshots
  shift 3
  mkdir -p "$top" "$snapshots" || exit ${topFailed}
  mount -n -t btrfs -o subvolid=5,noatime,${noLinks} -- "$source" "$top" ||
    fail "cannot mount the top level of the filesystem on $source"
  while read -r _ _ number root path _; do
    [ "$path" != "$top" ] || seen="$number $root"
  done </proc/self/mountinfo
  [ "$seen" = "$device /" ] || fail "$source is not the filesystem $device"
  [ "$needed" = yes ] || continue
  folder=$top/${snapshotFolder}
  [ -e "$folder" ] || [ -h "$folder" ] || mkdir "$folder" || exit ${topFailed}
  mount -n -c --bind "$folder" "$snapshots" 2>/dev/null &&
    stat -c '%d %u %a %F' "$top" "$snapshots" | {
      read -r device _
      read -r line
      [ "$line" = "$device 0 700 directory" ]
    } ||
    fail "/${snapshotFolder} at the top level of the filesystem on $source is not a folder that \
belongs to root, mode 0700: move it out of the way"
done
shift
exec "$@"
`;

/** Run a command where the top levels are mounted, and with them the folders of the snapshots. */
export function withTops(
  tops: readonly Top[],
  { program, args, ...more }: Command,
  needsSnapshots = true,
): Command {
  return {
    program: "unshare",
    args: [
      ...namespaceFlags,
      "sh",
      "-c",
      script,
      "sh",
      mountPlace(),
      needsSnapshots ? "yes" : "no",
      ...tops.flatMap(({ device, source }) => [device, source, nameOf(device)]),
      "--",
      program,
      ...args,
    ],
    ...more,
  };
}

/** Lists of ten thousand subvolumes with long paths. */
const longestOutput = 256 << 20;

/**
 * Run a script of sh(1) where the top level of a filesystem is mounted; in it `$top` and
 * `$snapshots` are the folders, and `$PLASMA` is our process id.
 *
 * @returns what it says, in the parts that it ends with NUL
 * @throws {PlasmaError} if it fails
 */
export async function runInTop(
  top: Top,
  script: string,
  options: { input?: string; needsSnapshots: boolean },
): Promise<string[]> {
  const { input, needsSnapshots } = options;
  const environment = {
    top: topPath(top),
    snapshots: snapshotsPath(top),
    PLASMA: `${Deno.pid}`,
  };
  const command = { program: "sh", args: ["-c", `set -u\n${script}`], environment };
  const output = await run(withTops([top], command, needsSnapshots), {
    ...(input === undefined ? {} : { input }),
    maximumOutput: longestOutput,
  });
  if (output.exit.code !== 0) throw topError(output, top);
  const parts = new TextDecoder("utf-8", { ignoreBOM: true }).decode(output.stdout).split("\0");
  return parts.slice(0, -1);
}

function topError({ exit, messages }: Output, { source }: Top): PlasmaError {
  // What mount(8) says of the kernel's log helps nobody.
  const words = messages.lines.filter((line) => !line.includes("dmesg(1)")).slice(0, 3)
    .map((line) => line.replace(/^ERROR: /, "")).join(" / ");
  const why = words || `ended ${exit.signal === null ? `with ${exit.code}` : `by ${exit.signal}`}`;
  return new PlasmaError("snapshot", `the filesystem on ${source}: ${why}`, { code: "source" });
}
