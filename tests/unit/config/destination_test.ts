import { assertEquals, assertThrows } from "@std/assert";
import {
  describeDestination,
  destinationOf,
  parseDestination,
  resolvePath,
} from "../../../src/config/destination.ts";
import { UsageError } from "../../../src/errors.ts";

const parse = (text: string) => parseDestination(text, "/home/me");

/** A destination over SSH. */
const remote = (folder: string, host: string, more: { login?: string; port?: number } = {}) => ({
  kind: "ssh",
  folder,
  ssh: { host, command: "plasma", ...more },
});

Deno.test("parseDestination() takes paths for folders of this machine", () => {
  const folders: Record<string, string> = {
    "/data/backup": "/data/backup",
    "/data//backup/": "/data/backup",
    "./my-backups": "/home/me/my-backups",
    "my-backups": "/home/me/my-backups",
    "../other/x": "/home/other/x",
    "/": "/",
    ".": "/home/me",
    "./a:b": "/home/me/a:b",
    "/a:/b": "/a:/b",
    "a b": "/home/me/a b",
    "$(x)": "/home/me/$(x)",
  };
  for (const [text, folder] of Object.entries(folders)) {
    assertEquals(parse(text), { kind: "local", folder }, text);
  }
});

Deno.test("parseDestination() reads host:/folder with and without a login", () => {
  assertEquals(parse("host:/data"), remote("/data", "host"));
  assertEquals(parse("me@host:/data/"), remote("/data", "host", { login: "me" }));
  assertEquals(parse("me@[::1]:/data"), remote("/data", "::1", { login: "me" }));
  assertEquals(parse("me@host:/a:b"), remote("/a:b", "host", { login: "me" }));
});

Deno.test("parseDestination() reads ssh URLs with and without login and port", () => {
  assertEquals(parse("ssh://host/data"), remote("/data", "host"));
  assertEquals(
    parse("ssh://me@host:2222//data/x/"),
    remote("/data/x", "host", { login: "me", port: 2222 }),
  );
  assertEquals(parse("ssh://[2001:db8::1]:22/d"), remote("/d", "2001:db8::1", { port: 22 }));
});

Deno.test("parseDestination() refuses, with status 2, what it cannot take apart safely", () => {
  const bad = [
    "",
    "host:data",
    "me@host:",
    "me@host:~/data",
    "ssh://host",
    "ssh://host:22",
    "ssh:///data",
    "ssh://me@/data",
    "ssh://host:0/data",
    "ssh://host:65536/data",
    "ssh://host:ssh/data",
    "ssh://me:secret@host/data",
    "ssh://-oProxyCommand=x/data",
    "SSH://host/data",
    "http://host/data",
    "sftp://host/data",
    "-oProxyCommand=x:/data",
    "-l@host:/data",
    "a b@host:/data",
    "ho st:/data",
    "$(x):/data",
    "host:/a/../b",
    "host:/a\nb",
    "/a\nb",
    "/a\0b",
  ];
  for (const text of bad) {
    const error: UsageError = assertThrows(
      () => parse(text),
      UsageError,
      "is not a destination",
      text,
    );
    assertEquals(error.status, 2);
  }
});

Deno.test("parseDestination() does not take a host that was left out for a folder", () => {
  for (const text of [":/data", "me@:/data"]) {
    assertThrows(() => parse(text), UsageError, "is not a destination", text);
  }
});

Deno.test("describeDestination() writes a destination as it can be given again", () => {
  const texts = [
    "/data/backup",
    "host:/data",
    "me@host:/data",
    "me@[::1]:/data",
    "ssh://me@host:2222/data",
    "ssh://[::1]:2222/data",
  ];
  for (const text of texts) {
    assertEquals(describeDestination(parse(text)), text);
    assertEquals(parse(describeDestination(parse(text))), parse(text));
  }
  assertEquals(describeDestination(parse("ssh://me@host:22/data")), "me@host:/data");
});

Deno.test("destinationOf() is the destination that a config names", () => {
  assertEquals(destinationOf({ remoteFolder: "/data//backup/" }), {
    kind: "local",
    folder: "/data/backup",
  });
  const ssh = { host: "127.0.0.1", login: "plasma", command: "plasma" };
  assertEquals(destinationOf({ remoteFolder: "/data/backup/", ssh }), {
    kind: "ssh",
    folder: "/data/backup",
    ssh,
  });
});

Deno.test("destinationOf() has folders of a storage host relative to the login's home", () => {
  const ssh = { host: "h", command: "plasma" };
  assertEquals(destinationOf({ remoteFolder: "~/backup", ssh }).folder, "backup");
  assertEquals(destinationOf({ remoteFolder: "backup/", ssh }).folder, "backup");
  assertEquals(destinationOf({ remoteFolder: "~other/backup", ssh }).folder, "~other/backup");
});

Deno.test("resolvePath() resolves dots by name, and never above the root", () => {
  assertEquals(resolvePath("a/./b//c/..", "/x"), "/x/a/b");
  assertEquals(resolvePath("../../../a", "/x/y"), "/a");
  assertEquals(resolvePath("/a/../..", "/x"), "/");
  assertEquals(resolvePath("-a", "/x"), "/x/-a");
});

Deno.test("row 79: a login and a host without a folder are no folder of this machine", () => {
  for (const text of ["user@host", "root@10.0.0.1", "backup@storage.example.org"]) {
    const error: UsageError = assertThrows(() => parse(text), UsageError);
    assertEquals(
      `${error.message}; ${error.remedy}`,
      `"${text}" names a login on a host, but no folder there; write ${text}:/folder, ` +
        `or for a folder of that name on this machine ./${text}`,
    );
  }
  assertEquals(parse("./user@host"), { kind: "local", folder: "/home/me/user@host" });
  assertEquals(parse("/data/user@host"), { kind: "local", folder: "/data/user@host" });
});
