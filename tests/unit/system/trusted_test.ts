import { assertEquals } from "@std/assert";
import { findDistrusted, type Part, type Trust } from "../../../src/system/trusted.ts";

const [root, me, bob] = [0, 1000, 1001];
const [staff, shared] = [50, 2000];

const trustOf = (uid: number): Trust => ({
  uid,
  owners: [root, uid],
  isPrivateGroup: (gid) => gid === root || gid === staff,
});

const folder = (mode: number, uid = root, gid = root): Part => ({
  uid,
  gid,
  mode,
  isDirectory: true,
  link: undefined,
});
const file = (mode: number, uid = root, gid = root): Part => ({
  ...folder(mode, uid, gid),
  isDirectory: false,
});
const link = (target: string, uid = root): Part => ({ ...file(0o777, uid), link: target });

const tree: Readonly<Record<string, Part>> = {
  "/": folder(0o755),
  "/etc": folder(0o755),
  "/etc/good": file(0o644),
  "/etc/bobs": file(0o644, bob),
  "/etc/open": file(0o666),
  "/etc/staff": file(0o664, root, staff),
  "/etc/shared": file(0o664, root, shared),
  "/etc/link": link("good"),
  "/etc/out": link("../home/bob/config"),
  "/etc/absolute": link("/etc/../etc/./good"),
  "/etc/loop": link("loop"),
  "/etc/bobs-link": link("good", bob),
  "/open": folder(0o777),
  "/open/good": file(0o644),
  "/tmp": folder(0o1777),
  "/tmp/good": file(0o644),
  "/tmp/bobs": folder(0o700, bob),
  "/home": folder(0o755),
  "/home/bob": folder(0o755, bob),
  "/home/bob/config": file(0o644),
  "/home/bob/rotation": folder(0o755),
  "/home/me": folder(0o755, me, shared),
  "/home/me/config": file(0o664, me, shared),
  "/home/me/open": file(0o666, me),
};
const look = (path: string) => tree[path];

function found(path: string, uid = root, scope?: "way"): string | undefined {
  const part = findDistrusted(path, look, trustOf(uid), scope);
  return part === undefined ? undefined : `${part.path} ${part.owner} ${part.reason}`;
}

Deno.test("row 56: root trusts what only root can change, whatever links lead to it", () => {
  const good = ["/", "/etc/good", "//etc/./good", "/etc/staff", "/etc/link", "/etc/absolute"];
  for (const path of [...good, "/tmp/good", "/etc/missing", "/etc/missing/more", "/etc/loop"]) {
    assertEquals(found(path), undefined, path);
  }
});

Deno.test("row 56: what others can change is found, on the way and at the end", () => {
  const cases = {
    "/etc/bobs": "/etc/bobs 1001 owner",
    "/etc/open": "/etc/open 0 writable",
    "/etc/shared": "/etc/shared 0 writable",
    "/etc/out": "/home/bob 1001 owner",
    "/etc/bobs-link": "/etc/bobs-link 1001 owner",
    "/etc/../home/bob/config": "/home/bob 1001 owner",
    "/open/good": "/open 0 writable",
    "/tmp/bobs": "/tmp/bobs 1001 owner",
    "/tmp/missing": "/tmp/missing 0 missing",
    "/home/me/config": "/home/me 1000 owner",
  };
  for (const [path, expected] of Object.entries(cases)) assertEquals(found(path), expected);
});

Deno.test("row 56: a user trusts himself, root and his groups, but not everybody", () => {
  assertEquals(found("/home/me/config", me), undefined);
  assertEquals(found("/etc/shared", me), undefined);
  assertEquals(found("/home/me/open", me), "/home/me/open 1000 writable");
  assertEquals(found("/etc/bobs", me), "/etc/bobs 1001 owner");
});

Deno.test("row 89: of a way it does not matter whose the last folder is, if it cannot be moved", () => {
  assertEquals(found("/home/bob", root, "way"), undefined);
  assertEquals(found("/home/bob/rotation", root, "way"), "/home/bob 1001 owner");
  assertEquals(found("/tmp/bobs", root, "way"), "/tmp/bobs 1001 owner");
  assertEquals(found("/tmp", root, "way"), undefined);
  assertEquals(found("/etc/out", root, "way"), "/home/bob 1001 owner");
});
