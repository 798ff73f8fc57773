import { assertEquals } from "@std/assert";
import type { Located } from "../../../src/system/locate.ts";
import { type Reach, reachOf, visiblePaths } from "../../../src/btrfs/reach.ts";
import type { Subvolume } from "../../../src/btrfs/filesystem.ts";
import type { Mount } from "../../../src/system/mounts.ts";
import { joinPath, parentOf, relativePath } from "../../../src/system/paths.ts";

/** A mount as `PATH TYPE DEVICE ROOT`, for example `/home btrfs 0:30 /@home`. */
function mountOf(line: string, index: number): Mount {
  const [path, type, device, root] = line.split(" ");
  return {
    id: index + 2,
    parent: index + 1,
    path: path!,
    type: type!,
    device: device!,
    root: root!,
    source: "/dev/x",
    isFilesystemReadOnly: false,
  };
}

/** Subvolumes by their paths; the ids are 5 for the top and 256, 257 ... */
function subvolumes(...paths: string[]): Subvolume[] {
  return ["", ...paths].map((path, index) => ({
    id: path === "" ? 5 : 255 + index,
    path,
    generation: 7,
    madeIn: 7,
    uuid: undefined,
    parentUuid: undefined,
    receivedUuid: undefined,
    readOnly: false,
  }));
}

const filesystem = (device: string, ...paths: string[]) => ({
  device,
  subvolumes: subvolumes(...paths),
});

/** Parts as `TARGET = SUBVOLUME:INSIDE` or `TARGET = live PATH`. */
function describe({ parts }: Reach): string[] {
  return parts.map(({ target, origin }) =>
    origin.kind === "live"
      ? `${target} = live ${origin.path}`
      : `${target} = ${origin.subvolume.path || "top"}:${origin.inside}`
  );
}

interface Case {
  readonly what: string;
  /** By default a btrfs at "/". */
  readonly mounts?: readonly string[];
  readonly subvolumes?: readonly string[];
  readonly folder: string | Located;
  readonly parts: readonly string[];
}

const cases: readonly Case[] = [
  {
    what: "a folder is seen through the one that holds it",
    folder: "/srv/data",
    parts: ["/srv = top:srv"],
  },
  { what: "a folder in the root", folder: "/srv", parts: ["/ = top:"] },
  { what: "the root itself", folder: "/", parts: ["/ = top:"] },
  {
    what: "nested subvolumes, upper ones first, and not those beside",
    subvolumes: ["srv/data/a/b", "srv/data/a", "srv/database", "srv"],
    folder: "/srv/data",
    parts: ["/srv = srv:", "/srv/data/a = srv/data/a:", "/srv/data/a/b = srv/data/a/b:"],
  },
  {
    what: "a folder that is the root of a subvolume",
    subvolumes: ["srv/data"],
    folder: "/srv/data",
    parts: ["/srv/data = srv/data:"],
  },
  {
    what: "a folder that is a mount point is not seen through the one above",
    mounts: ["/ ext4 8:1 /", "/data btrfs 0:30 /@data"],
    subvolumes: ["@data", "@data/nested", "@other"],
    folder: "/data",
    parts: ["/data = @data:", "/data/nested = @data/nested:"],
  },
  {
    what: "a folder of a mount of a subvolume",
    mounts: ["/ ext4 8:1 /", "/data btrfs 0:30 /@data"],
    subvolumes: ["@data", "@data/a/nested"],
    folder: "/data/a",
    parts: ["/data = @data:", "/data/a/nested = @data/a/nested:"],
  },
  {
    what: "a bind mount of a folder shows the subvolumes below that folder only",
    mounts: ["/ ext4 8:1 /", "/bound btrfs 0:30 /@data/a"],
    subvolumes: ["@data", "@data/a/nested", "@data/b"],
    folder: "/bound",
    parts: ["/bound = @data:a", "/bound/nested = @data/a/nested:"],
  },
  {
    what: "mounts below a folder, frozen and live",
    mounts: ["/ btrfs 0:30 /@", "/srv/a btrfs 0:30 /@a", "/srv/b ext4 8:1 /", "/srvb ext4 8:2 /"],
    subvolumes: ["@", "@a"],
    folder: "/srv",
    parts: ["/ = @:", "/srv/a = @a:", "/srv/b = live /srv/b"],
  },
  {
    what: "a subvolume that a mount hides is left out, and what is below the mount",
    mounts: ["/ btrfs 0:30 /", "/srv/a ext4 8:1 /"],
    subvolumes: ["srv/a", "srv/a/b", "srv/c"],
    folder: "/srv",
    parts: ["/ = top:", "/srv/c = srv/c:", "/srv/a = live /srv/a"],
  },
  {
    what: "the same subvolume nested and mounted is seen at both places",
    mounts: ["/ btrfs 0:30 /", "/srv/again btrfs 0:30 /srv/a"],
    subvolumes: ["srv/a"],
    folder: "/srv",
    parts: ["/ = top:", "/srv/a = srv/a:", "/srv/again = srv/a:"],
  },
  {
    what: "what lies in the folder of snapshots is left out, what only looks so is not",
    subvolumes: [".plasma/id", ".plasma/id/deep", "srv/.plasma/id", ".plasmas"],
    folder: "/",
    parts: [
      "/ = top:",
      "/.plasmas = .plasmas:",
      "/srv/.plasma/id = srv/.plasma/id:",
    ],
  },
  {
    what: "a folder behind a link is seen under the name of the link",
    subvolumes: ["srv/data/nested"],
    folder: { folder: "/link/data", real: "/srv/data" },
    parts: ["/link = top:srv", "/link/data/nested = srv/data/nested:"],
  },
  {
    what: "a folder that is not on btrfs is live, with btrfs below it frozen",
    mounts: ["/ ext4 8:1 /", "/srv/data/a btrfs 0:30 /"],
    subvolumes: ["nested"],
    folder: "/srv/data",
    parts: ["/srv = live /srv", "/srv/data/a = top:", "/srv/data/a/nested = nested:"],
  },
];

for (const { what, mounts = ["/ btrfs 0:30 /"], subvolumes = [], folder, parts } of cases) {
  Deno.test(`reachOf(): ${what}`, () => {
    const located = typeof folder === "string" ? { folder, real: folder } : folder;
    const reach = reachOf(located, mounts.map(mountOf), [filesystem("0:30", ...subvolumes)]);
    assertEquals(reach.folder, located.folder);
    assertEquals(describe(reach), parts);
    assertEquals(reach.skipped, []);
  });
}

Deno.test("reachOf() keeps filesystems apart whose subvolumes have the same paths", () => {
  const mounts = ["/ btrfs 0:30 /", "/b btrfs 0:31 /"].map(mountOf);
  const filesystems = [filesystem("0:30", "x"), filesystem("0:31", "x")];
  const { parts } = reachOf({ folder: "/", real: "/" }, mounts, filesystems);
  const places = parts.map(({ target, origin }) =>
    origin.kind === "frozen" ? `${target} ${origin.device}` : target
  );
  assertEquals(places.sort(), ["/ 0:30", "/b 0:31", "/b/x 0:31", "/x 0:30"]);
});

Deno.test("reachOf() leaves out pseudo and network filesystems, and what is mounted below them", () => {
  const mounts = [
    "/ btrfs 0:30 /",
    "/dev devtmpfs 0:6 /",
    "/dev/shm tmpfs 0:7 /",
    "/device tmpfs 0:8 /",
    "/far nfs4 0:9 /",
    "/far/data btrfs 0:30 /data",
    "/proc proc 0:10 /",
  ].map(mountOf);
  const reach = reachOf({ folder: "/", real: "/" }, mounts, [filesystem("0:30", "data")]);
  assertEquals(describe(reach), ["/ = top:", "/data = data:", "/device = live /device"]);
  const skipped = reach.skipped.map(({ path }) => path).sort();
  assertEquals(skipped, ["/dev", "/dev/shm", "/far", "/far/data", "/proc"]);
});

Deno.test("reachOf() takes a configured folder for what it is, whatever its type", () => {
  const mounts = ["/ btrfs 0:30 /", "/far nfs4 0:9 /"].map(mountOf);
  const reach = reachOf({ folder: "/far", real: "/far" }, mounts, [filesystem("0:30")]);
  assertEquals([describe(reach), reach.skipped], [["/far = live /far"], []]);
});

Deno.test("visiblePaths() finds every mount that shows the root of a subvolume", () => {
  const mounts = [
    "/ ext4 8:1 /",
    "/top btrfs 0:30 /",
    "/again btrfs 0:30 /a",
    "/nested btrfs 0:30 /a/b",
    "/inside btrfs 0:30 /a/folder",
    "/foreign btrfs 0:31 /a",
  ].map(mountOf);
  const [, a, b] = subvolumes("a", "a/b");
  assertEquals(visiblePaths("0:30", a!, mounts), ["/top/a", "/again"]);
  assertEquals(visiblePaths("0:30", b!, mounts), ["/top/a/b", "/again/b", "/nested"]);
});

Deno.test("visiblePaths() leaves out what another mount hides", () => {
  const mounts = ["/ btrfs 0:30 /", "/a ext4 8:1 /"].map(mountOf);
  assertEquals(visiblePaths("0:30", subvolumes("a/b")[1]!, mounts), []);
});

Deno.test("paths are joined and taken apart, the root too", () => {
  assertEquals([joinPath("/", "a"), joinPath("/a", "b/c"), joinPath("/a", "")], [
    "/a",
    "/a/b/c",
    "/a",
  ]);
  assertEquals(["/a/b", "/a", "/"].map(parentOf), ["/a", "/", "/"]);
  const relative = [relativePath("/a/b/c", "/a"), relativePath("/a", "/"), relativePath("/", "/")];
  assertEquals(relative, ["b/c", "a", ""]);
});
