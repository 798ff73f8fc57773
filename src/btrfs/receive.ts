import { namespaceFlags } from "../system/namespace.ts";
import type { Command } from "../system/process.ts";
import { subvolumeInode } from "./subvolumes.ts";

/** Where a stream is received, and what it may refer to. */
export interface ReceivePlaces {
  /** The folder that takes the subvolumes; nothing else is written. */
  readonly target: string;
  /** The folder whose subvolumes may be parents and be cloned from; the target lies in it. */
  readonly storage: string;
  /** An empty folder in the same subvolume. */
  readonly empty: string;
  /** A folder to mount things at, on another filesystem. */
  readonly scratch: string;
}

/**
 * The program that receives the subvolumes of a stream, one after the other until its end, and can do
 * no more than that, whatever the stream says.
 *
 * `btrfs receive -C` resolves the paths that it writes within the target. That is not all: it writes
 * into device nodes that the stream has made, and it opens the parents of increments and what is to be
 * cloned by paths below the root of the mount, out of which ".." leads. So it runs in mounts of its
 * own, in which there are no devices, and the root of the mount is a folder that has the storage folder
 * at its place, read-only, and nothing else; it lies on the topmost filesystem, above which there is
 * nothing. What others upload at the same time is not seen either: parents are looked up by uuid, and
 * anybody can give his own subvolume the uuid of another.
 *
 * Its standard output is kept open, but nothing is written to it: it may be a lock.
 *
 * @throws if the storage folder is not below the root of a subvolume, as its mount shows it
 */
export function receiveCommand({ target, storage, empty, scratch }: ReceivePlaces): Command {
  const inside = pathInSubvolume(storage);
  return {
    program: "unshare",
    args: [
      ...namespaceFlags,
      "sh",
      "-c",
      script,
      "sh",
      target,
      storage,
      empty,
      scratch,
      inside,
    ],
  };
}

/**
 * Linux before 5.18 clones only within one mount; there only devices are kept away, and a stream can
 * clone whatever it knows the place of.
 *
 * Compressed extents are never written as they are: of those that the disk loses the kernel tells
 * nobody. Linux 6.18.44 was tried, which has "btrfs: fix silent IO error loss in encoded writes".
 */
const script = `set -eu
exec 9>&1 >/dev/null
target=$1 storage=$2 empty=$3 scratch=$4 inside=$5
safe=nodev,nosuid,noexec
read -r release </proc/sys/kernel/osrelease
case $release in
[1-4].* | 5.[0-9].* | 5.1[0-7].*)
  mount -o remount,bind,nodev "$(stat --format=%m -- "$target")"
  exec btrfs --quiet receive -C -- "$target"
  ;;
esac
mount --bind -o "$safe" -- "$target" "$target"
mount -t tmpfs -o "mode=0700,size=1m,$safe" plasma "$scratch"
mkdir -- "$scratch/root"
if [ -n "$inside" ]; then
  mount --bind -- "$empty" "$scratch/root"
  mkdir -p -- "$scratch/root/$inside"
  mount -o "remount,bind,ro,$safe" -- "$scratch/root"
fi
view=$scratch/root\${inside:+/$inside} own=\${target#"$storage"}
mount --bind -o "ro,$safe" -- "$storage" "$view"
mount -t tmpfs -o "mode=0700,size=64k,$safe" plasma "$view/.plasma"
mkdir -p -- "$view$own"
mount --bind -o "ro,$safe" -- "$target" "$view$own"
cd -- "$scratch/root"
mount --move -- "$scratch" /
case $(btrfs receive --help) in
*--force-decompress*) exec btrfs --quiet receive -C -m . --force-decompress -- "$target" ;;
*) exec btrfs --quiet receive -C -m . -- "$target" ;;
esac
`;

/** The path of a folder from the root of the subvolume that it lies in, "" for the root itself. */
function pathInSubvolume(folder: string): string {
  const names: string[] = [];
  for (let path = folder; path !== ""; path = path.slice(0, path.lastIndexOf("/"))) {
    if (Deno.lstatSync(path).ino === subvolumeInode) return names.join("/");
    names.unshift(path.slice(path.lastIndexOf("/") + 1));
  }
  if (Deno.lstatSync("/").ino === subvolumeInode) return names.join("/");
  throw new Error(`no subvolume above ${folder} is mounted with its root`);
}
