import { assertEquals } from "@std/assert";
import {
  escapeMountPath,
  isNetwork,
  isPseudo,
  type Mount,
  mountOf,
  mountsBelow,
  parseMountinfo,
  readMounts,
  visibleMounts,
} from "../../../src/system/mounts.ts";
import { isWithin } from "../../../src/system/paths.ts";

/** Mounts as `id parent path`, the rest of each line made up. */
function mountsOf(...lines: string[]): Mount[] {
  return parseMountinfo(
    lines.map((line) => {
      const [id, parent, path] = line.split(" ");
      return `${id} ${parent} 8:1 / ${path} rw,relatime shared:1 - ext4 /dev/sda1 rw\n`;
    }).join(""),
  );
}

const visible = (...lines: string[]) =>
  visibleMounts(mountsOf(...lines)).map(({ id, path }) => `${id} ${path}`);

Deno.test("parseMountinfo() reads a line with and without optional fields", () => {
  const text =
    `36 35 98:0 /@/mnt1 /mnt2 rw,noatime shared:7 master:1 - btrfs /dev/root rw,subvolid=256,subvol=/@
22 1 0:21 / /proc rw - proc proc rw
`;
  const read = parseMountinfo(text).map(({ id, parent, device, root, path, type, source }) => [
    [id, parent, device, root],
    [path, type, source],
  ]);
  assertEquals(read, [
    [[36, 35, "98:0", "/@/mnt1"], ["/mnt2", "btrfs", "/dev/root"]],
    [[22, 1, "0:21", "/"], ["/proc", "proc", "proc"]],
  ]);
});

Deno.test("parseMountinfo() reads names with spaces, newlines, backslashes and dashes", () => {
  const text = String.raw`36 35 98:0 /a\040b /c\040-\040d\012\134040 rw - ext4 //host/e\040f rw`;
  const [mount, ...more] = parseMountinfo(text);
  assertEquals([mount?.root, mount?.path, mount?.source], ["/a b", "/c - d\n\\040", "//host/e f"]);
  assertEquals(more, []);
});

Deno.test("escapeMountPath() writes a path as mountinfo has it", () => {
  const path = "/a b\tc\nd\\e#\u00e4";
  const escaped = escapeMountPath(path);
  assertEquals(escaped, "/a\\040b\\011c\\012d\\134e#\u00e4");
  const [mount] = parseMountinfo(`1 2 0:1 / ${escaped} rw - ext4 x rw`);
  assertEquals(mount!.path, path);
});

Deno.test("parseMountinfo() passes over lines that it does not understand", () => {
  assertEquals(parseMountinfo("\n\nx\n1 2 3\n1 2 0:1 / /x rw no separator\n"), []);
});

Deno.test("visibleMounts() leaves out mounts that another one is stacked on", () => {
  assertEquals(visible("1 0 /", "2 1 /mnt", "3 2 /mnt"), ["1 /", "3 /mnt"]);
  assertEquals(visible("1 0 /", "2 1 /mnt", "3 2 /mnt", "4 3 /mnt"), ["1 /", "4 /mnt"]);
});

Deno.test("visibleMounts() leaves out mounts below a folder that is mounted over later", () => {
  assertEquals(visible("1 0 /", "2 1 /a/b", "3 1 /a"), ["1 /", "3 /a"]);
  assertEquals(visible("1 0 /", "2 1 /a/b", "3 2 /a/b/c", "4 1 /a"), ["1 /", "4 /a"]);
  assertEquals(visible("1 0 /", "2 1 /a", "3 2 /a/b", "4 2 /a"), ["1 /", "4 /a"]);
});

Deno.test("visibleMounts() leaves out a stack of mounts below a folder that is mounted over", () => {
  assertEquals(visible("1 0 /", "2 1 /a/b", "3 2 /a/b", "4 1 /a"), ["1 /", "4 /a"]);
});

Deno.test("visibleMounts() keeps siblings, children and names with the same beginning", () => {
  const all = ["1 0 /", "2 1 /a", "3 1 /ab", "4 2 /a/b", "5 1 /c", "6 4 /a/b/c"];
  assertEquals(visible(...all), ["1 /", "2 /a", "3 /ab", "4 /a/b", "5 /c", "6 /a/b/c"]);
});

Deno.test("visibleMounts() has the top of a stacked root, whose parent is not in the list", () => {
  assertEquals(visible("20 19 /", "21 20 /", "22 21 /proc"), ["21 /", "22 /proc"]);
});

Deno.test("visibleMounts() knows that the root of a namespace may be its own parent", () => {
  assertEquals(visible("1 1 /", "2 1 /x"), ["1 /", "2 /x"]);
});

Deno.test("readMounts() shows the mounts of this machine, the root among them", async () => {
  const mounts = await readMounts();
  assertEquals(mounts.filter(({ path }) => path === "/").length, 1);
  assertEquals(mountOf("/proc", mounts)?.type, "proc");
  assertEquals(new Set(mounts.map(({ path }) => path)).size, mounts.length);
});

Deno.test("isWithin() compares names and not letters", () => {
  assertEquals(
    ["/a", "/a/b", "/ab", "/", "/b"].map((path) => isWithin(path, "/a")),
    [true, true, false, false, false],
  );
  assertEquals(["/", "/a"].map((path) => isWithin(path, "/")), [true, true]);
});

Deno.test("mountOf() is the deepest mount that holds a path", () => {
  const mounts = mountsOf("1 0 /", "2 1 /srv", "3 2 /srv/data");
  const pathOf = (path: string) => mountOf(path, mounts)?.path;
  assertEquals(
    ["/", "/etc", "/srv", "/srv/x", "/srv/data", "/srv/data/x", "/srv/database"].map(pathOf),
    ["/", "/", "/srv", "/srv", "/srv/data", "/srv/data", "/srv"],
  );
});

Deno.test("mountsBelow() leaves out the folder itself", () => {
  const mounts = mountsOf("1 0 /", "2 1 /srv", "3 2 /srv/data", "4 1 /srv2");
  assertEquals(mountsBelow("/srv", mounts).map(({ path }) => path), ["/srv/data"]);
  assertEquals(mountsBelow("/", mounts).map(({ path }) => path), ["/srv", "/srv/data", "/srv2"]);
});

Deno.test("isPseudo() and isNetwork() know filesystems by their type", () => {
  const [mount] = mountsOf("1 0 /");
  const kinds = (type: string) => [isPseudo({ ...mount!, type }), isNetwork({ ...mount!, type })];
  assertEquals(["proc", "sysfs", "cgroup2"].map(kinds), Array(3).fill([true, false]));
  assertEquals(["nfs4", "cifs", "fuse.sshfs"].map(kinds), Array(3).fill([false, true]));
  assertEquals(["ext4", "btrfs", "tmpfs", "xfs"].map(kinds), Array(4).fill([false, false]));
});
