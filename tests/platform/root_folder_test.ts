import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn } from "../support/folders.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

/**
 * Runs a program with a folder as its root, in a mount namespace of its own: $1 is the folder. The
 * system's programs are seen there through bind mounts, beside what every system has.
 */
const script = `set -e
root=$1; shift
for entry in /*; do
  case $entry in
    /proc | /sys | /dev | /run) continue ;;
    /tmp) how=--bind ;; # not with all that tests have mounted there
    *) how=--rbind ;;
  esac
  if [ -h "$entry" ]; then cp -P "$entry" "$root/"
  elif [ -d "$entry" ]; then mkdir "$root$entry"; mount "$how" "$entry" "$root$entry"; fi
done
mkdir "$root/proc" "$root/sys" "$root/dev" "$root/run"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t devtmpfs devtmpfs "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
exec chroot "$root" "$@"`;

/** Everything that is a bind mount of the system around. */
function systemFolders(): string[] {
  const own = ["proc", "sys", "dev", "run"];
  return [...Deno.readDirSync("/")].map(({ name }) => name).filter((name) => !own.includes(name));
}

async function backUpRoot(site: Site, root: string, more: object) {
  const through = ["unshare", "--mount", "sh", "-c", script, "sh", site.at(root)];
  const settings = {
    folders: ["/"],
    exclude: systemFolders().map((name) => `/${name}`),
    ...more,
  };
  return await site.backUp([], settings, { through });
}

/** The members of the archive, without those that the system around gives it. */
async function membersOfRoot(site: Site): Promise<string[]> {
  const text = await sh("tar", "-tf", site.archive);
  return text.trimEnd().split("\n")
    .filter((name) => !/^run\/./.test(name) && !systemFolders().includes(name)).sort();
}

btrfsTest(
  'the folder "/" is archived with the subvolumes and without the pseudo filesystems',
  async (site) => {
    await site.subvolume("btrfs/@");
    await site.subvolume("btrfs/@/srv-data");
    await site.subvolume("btrfs/@home");
    site.write("btrfs/@/file");
    site.write("btrfs/@/srv-data/file");
    site.write("btrfs/@home/file");
    await site.mountSubvolume("root", "@");
    await site.mountSubvolume("root/home-data", "@home");
    const { code, stderr } = await backUpRoot(site, "root", {
      executeAfterSnapshot: [
        "echo changed >/file; echo changed >/home-data/file; rm /srv-data/file",
      ],
    });
    assertEquals(code, 0, stderr);
    assertEquals(await membersOfRoot(site), [
      "./",
      "dev/",
      "file",
      "home-data/",
      "home-data/file",
      "proc/",
      "run/",
      "srv-data/",
      "srv-data/file",
      "sys/",
    ]);
    const target = site.makeFolder("restored");
    await sh("tar", "-xf", site.archive, "-C", target, "file", "home-data/file", "srv-data/file");
    assertEquals(site.read("restored/file"), "content of btrfs/@/file");
    assertEquals(site.read("restored/home-data/file"), "content of btrfs/@home/file");
    assertMatch(stderr, /left out: \/dev\/shm/);
    assertEquals(await site.snapshots(), []);
  },
);

btrfsTest('with "skip" and "/" not on btrfs the btrfs below it is archived', async (site) => {
  await site.tmpfs("root");
  site.write("root/file");
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  await site.mountSubvolume("root/deep/in/data", "data");
  const { code, stderr } = await backUpRoot(site, "root", { options: { liveMounts: "skip" } });
  assertEquals(code, 0, stderr);
  const members = (await membersOfRoot(site)).filter((name) => name !== "./");
  assertEquals(members, ["deep/", "deep/in/", "deep/in/data/", "deep/in/data/file"]);
  assertMatch(stderr, /warning: \/ is left out/);
});

btrfsTest(
  'with "/" not on btrfs it is archived live, and nothing is written to it',
  async (site) => {
    await site.tmpfs("root");
    site.write("root/file");
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file");
    await site.mountSubvolume("root/data", "data");
    const { code, stderr } = await backUpRoot(site, "root", {});
    assertEquals(code, 0, stderr);
    const members = await membersOfRoot(site);
    assertEquals(members, ["./", "data/", "data/file", "dev/", "file", "proc/", "run/", "sys/"]);
    assertEquals(await sh("ls", "-A", site.at("root/dev")), "");
    assertMatch(stderr, /warning: \/ is not frozen but archived live/);
    assertEquals(archivesIn(site.storage).length, 1);
  },
);
