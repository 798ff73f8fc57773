import { assertEquals } from "@std/assert";
import { MemberCounter } from "../../../src/strategies/member_counter.ts";

const list = `drwxr-xr-x  0/0               0 2026-11-28 19:54 srv/
-rw-r--r--  0/0        10485760 2026-11-28 19:54 srv/sparse
-rw-r--r--+ 1000/1000         7 2026-11-28 19:54 srv/nl\\nx
crw-r--r--  0/0             1,3 2026-11-28 19:54 srv/dev
-rw-r--r--  0/0               3 2026-11-28 19:54 srv/h
-rw-r--r--  0/0               1 2026-11-28 19:54 srv/x -> y
hrw-r--r--  0/0               0 2026-11-28 19:54 srv/f link to srv/h
lrwxrwxrwx  0/0               0 2026-11-28 19:54 srv/l -> h
lrwxrwxrwx  0/0               0 2026-11-28 19:54 srvlink -> srv
drwxr-xr-x  4294967294/4294967294 0 2026-11-28 19:54 srv/sub/
-rw-r--r--  0/0    99999999999999 2026-11-28 19:54 srv/sub/ two  spaces
-rw-r--r--  0/0               5 2026-11-28 19:54 srv/sub2
-rw-r--r--  0/0              11 -1-11-28 19:54 srv/\\303\\244/a
`;

const folders = ["/", "/srv", "/srv/sub", "/srv/ä", "/srvlink", "/srv/l", "/nothing"];

const expected = [
  ["/", 13, 100000010485786],
  ["/srv", 12, 100000010485786],
  ["/srv/sub", 2, 99999999999999],
  ["/srv/ä", 1, 11],
  ["/srvlink", 1, 0],
  ["/srv/l", 1, 0],
  ["/nothing", 0, 0],
];

Deno.test("row 64: MemberCounter counts what is below each folder, in whatever pieces the list comes", () => {
  const bytes = new TextEncoder().encode(list);
  for (const size of [1, 7, 100, bytes.length]) {
    const counter = new MemberCounter(folders);
    for (let at = 0; at < bytes.length; at += size) counter.add(bytes.subarray(at, at + size));
    assertEquals(
      counter.contributions.map(({ folder, entries, bytes }) => [folder, entries, bytes]),
      expected,
    );
    counter.reset();
    assertEquals(counter.contributions[0], { folder: "/", entries: 0, bytes: 0 });
  }
});

Deno.test("row 64: MemberCounter is not deceived by files that are called like links", () => {
  const counter = new MemberCounter(["/x", "/y"]);
  const names = ["x -> y", "x link to z"].map((name) =>
    `-rw-r--r--  0/0  1 2026-11-28 19:54 ${name}\n`
  );
  const links = "lrwxrwxrwx  0/0  0 2026-11-28 19:54 y -> x\n";
  counter.add(new TextEncoder().encode(names.join("") + links));
  assertEquals(counter.contributions.map(({ entries }) => entries), [0, 1]);
});

Deno.test("row 64: MemberCounter knows the names of an archive of the root", () => {
  const counter = new MemberCounter(["/", "/etc"]);
  const whole = list.replaceAll(" srv", " ./srv") + "drwxr-xr-x  0/0  0 2026-11-28 19:54 ./etc/\n";
  counter.add(new TextEncoder().encode(whole));
  assertEquals(counter.contributions.map(({ entries }) => entries), [14, 1]);
});
