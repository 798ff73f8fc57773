import { assert, assertEquals, assertFalse } from "@std/assert";
import {
  folderProblem,
  isHost,
  isLogin,
  isRemoteCommand,
  parseDuration,
  parseSize,
  tidyPath,
} from "../../../src/config/values.ts";

Deno.test("parseSize() reads sizes in powers of 1024", () => {
  const sizes: Record<string, number> = {
    "1": 1,
    "512": 512,
    "64K": 65_536,
    "64k": 65_536,
    "64KB": 65_536,
    "64KiB": 65_536,
    "20M": 20 * 2 ** 20,
    "1.5G": 1.5 * 2 ** 30,
    "2T": 2 * 2 ** 40,
    " 20 M ": 20 * 2 ** 20,
    "0.5K": 512,
    "100B": 100,
  };
  for (const [text, bytes] of Object.entries(sizes)) assertEquals(parseSize(text), bytes, text);
});

Deno.test("parseSize() refuses what is no size, nothing at all, or too large to count", () => {
  const bad = [
    "",
    "0",
    "0K",
    "-1",
    "+1",
    "1e3",
    "K",
    "5X",
    "1 2",
    "1.",
    ".5",
    "5KK",
    "0x10",
    "NaN",
  ];
  for (const text of [...bad, "999999999999T", "0.0001", "5M/s", "１"]) {
    assertEquals(parseSize(text), undefined, text);
  }
});

Deno.test("parseDuration() reads durations in seconds", () => {
  const durations: Record<string, number> = {
    "0s": 0,
    "90s": 90,
    "1m": 60,
    "26h": 93_600,
    "14d": 1_209_600,
    "2w": 1_209_600,
    "1h30m": 5400,
    "1d1h1m1s": 90_061,
  };
  for (const [text, seconds] of Object.entries(durations)) {
    assertEquals(parseDuration(text), seconds, text);
  }
});

Deno.test("parseDuration() refuses what is no duration, or longer than a life", () => {
  for (
    const text of ["", "5", "d", "-1d", "1.5h", "1 d", "1D", "1y", "1h30", "999999999w", "1e3s"]
  ) {
    assertEquals(parseDuration(text), undefined, text);
  }
});

Deno.test("isHost() knows names, aliases and addresses", () => {
  const good = [
    "localhost",
    "web1",
    "a.example.com",
    "a.example.com.",
    "under_score",
    "127.0.0.1",
    "::1",
    "fe80::1%eth0",
    "2001:db8::7",
    "x",
  ];
  for (const host of good) assert(isHost(host), host);
});

Deno.test("isHost() refuses all that ssh or a shell could take for more than a name", () => {
  const bad = [
    "",
    "-oProxyCommand=touch X",
    "-h",
    "a b",
    "a;b",
    "a b;c",
    "a\n",
    "\na",
    "$(x)",
    "`x`",
    "a|b",
    "user@host",
    "host:22",
    "[::1]",
    "a/b",
    "%h",
    "*",
    "a".repeat(254),
    "ä.de",
    "a-",
    ".a",
  ];
  for (const host of bad) assertFalse(isHost(host), host);
});

Deno.test("isLogin() knows the names of users and nothing else", () => {
  for (const login of ["root", "_apt", "web-1", "john.doe", "machine$", "0x"]) {
    assert(isLogin(login), login);
  }
  for (const login of ["", "-l", "a b", "a@b", "a:b", "a\n", "$(x)", "a/b", ".a", "a".repeat(66)]) {
    assertFalse(isLogin(login), login);
  }
});

Deno.test("isRemoteCommand() knows bare names and absolute paths that need no quoting", () => {
  for (const text of ["plasma", "plasma-2.0", "/usr/bin/plasma", "/opt/p+1/plasma"]) {
    assert(isRemoteCommand(text), text);
  }
  const bad = [
    "",
    "-x",
    "./plasma",
    "a/b",
    "/",
    "/a b",
    "/a;b",
    "/a/../b",
    "a b",
    "$HOME/p",
    "/a\n",
  ];
  for (const text of bad) assertFalse(isRemoteCommand(text), text);
});

Deno.test("folderProblem() tells why a path cannot name a storage folder", () => {
  for (const path of ["/data", "backup", "/a b", "/$(x)", "/a..b", "/...", "/ä"]) {
    assertEquals(folderProblem(path), undefined, path);
  }
  for (const path of ["..", "/..", "../a", "/a/../b", "/a/.."]) {
    assertEquals(folderProblem(path), 'a path with ".."', path);
  }
  for (const path of ["/a\n", "/a\0b", "/\x1b[31m", "/\x7f"]) {
    assertEquals(folderProblem(path), "a path with control characters", path);
  }
  assertEquals(folderProblem(""), "an empty path");
});

Deno.test("tidyPath() takes out doubled and trailing slashes and single dots", () => {
  const tidy: Record<string, string> = {
    "/": "/",
    "//": "/",
    "/.": "/",
    "/./": "/",
    "/a": "/a",
    "/a/": "/a",
    "//a///b//": "/a/b",
    "/a/./b/.": "/a/b",
    "/.a/..b": "/.a/..b",
    "/a./b": "/a./b",
    "a/b/": "a/b",
  };
  for (const [path, expected] of Object.entries(tidy)) assertEquals(tidyPath(path), expected, path);
});
