import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { agentSchema, strategyNames } from "../../../src/config/agent.ts";
import { parseConfig } from "../../../src/config/load.ts";
import { bytesOf, faultsOf } from "./faults.ts";

/** The example config of Plasma 1.0. */
const example = `{
  "folders": ["/bin", "/etc"], "tempfile": "/tmp/backup.tar", "strategy": "tar", "options": {},
  "ssh": {"host": "127.0.0.1", "login": "plasma"}, "remoteFolder": "/data/backup",
  "executeBefore": ["df -h"],
  "executeAfter": ["echo THIS WAS A TRIUMPH", "echo I AM MAKING A NOTE HERE: HUGE SUCCESS"]
}`;

const least = { folders: ["/etc"], strategy: "tar", remoteFolder: "/data/backup" };

const parse = (content: unknown) => parseConfig("file.json", bytesOf(content), agentSchema);
const faults = (more: object) => faultsOf({ ...least, ...more }, agentSchema);

Deno.test("the example config of Plasma 1.0 works unchanged", () => {
  const config = parse(example);
  assertEquals(config, {
    ...JSON.parse(example),
    options: config.options,
    ssh: { host: "127.0.0.1", login: "plasma", command: "plasma" },
    compression: { type: "none", level: undefined },
    exclude: [],
    excludeCaches: false,
    retries: 0,
    retryDelay: 60,
    executeAfterSnapshot: [],
    executeOnFailure: [],
    executeAlways: [],
    hookTimeout: 3600,
    changedFiles: "problem",
  });
});

Deno.test("folders, strategy and remoteFolder are all that a config needs", () => {
  const config = parse(least);
  assertEquals(
    [config.tempfile, config.ssh, config.executeBefore, config.executeAfter],
    [undefined, undefined, [], []],
  );
  assertEquals(faultsOf({}, agentSchema), [
    "folders: missing",
    "strategy: missing",
    "remoteFolder: missing",
  ]);
});

Deno.test("a config's sizes and durations come as bytes and seconds", () => {
  const config = parse({
    ...least,
    bandwidthLimit: "20M",
    retryDelay: "1m30s",
    hookTimeout: "2h",
  });
  assertEquals(
    [config.bandwidthLimit, config.retryDelay, config.hookTimeout],
    [20 * 2 ** 20, 90, 7200],
  );
});

Deno.test("every key of a config refuses values of other types, and says what it expects", () => {
  const single = [
    "tempfile",
    "strategy",
    "options",
    "ssh",
    "remoteFolder",
    "excludeCaches",
    "bandwidthLimit",
    "retries",
    "retryDelay",
    "hookTimeout",
  ];
  const lists = [
    "folders",
    "exclude",
    "executeBefore",
    "executeAfterSnapshot",
    "executeAfter",
    "executeOnFailure",
    "executeAlways",
  ];
  const wrong: [string, unknown][] = [...single, ...lists].flatMap((key) =>
    [null, 2.5, "\u0001", { x: 1 }].map((value): [string, unknown] => [key, value])
  ).filter(([key, value]) => !(key === "ssh" || key === "options") || typeof value !== "object");
  for (const [key, value] of [...wrong, ...single.map((key): [string, unknown] => [key, [5]])]) {
    const found = faults({ [key]: value });
    const isTold = found[0]!.startsWith(`${key}: expected `);
    assert(isTold, `${key} = ${JSON.stringify(value)}: ${found.join("\n")}`);
  }
  for (const key of lists) {
    for (const value of [null, 5, "", ["/nested"]]) {
      const found = faults({ [key]: ["/good", value] });
      const isTold = found.length === 1 && found[0]!.startsWith(`${key}.1: expected `);
      assert(isTold, `${key}.1 = ${JSON.stringify(value)}: ${found.join("\n")}`);
    }
  }
});

Deno.test("all faults of a config are told at once, each with its key path", () => {
  assertEquals(
    faultsOf({
      folder: ["/etc"],
      folders: ["/etc", "var", "/a/../b"],
      strategy: "rsync",
      remoteFolder: "/data/../etc",
      ssh: { hosts: "x", host: "-oProxyCommand=touch X", login: "-l", port: 0 },
      retries: -1,
      executeBefore: ["ok", ""],
    }, agentSchema),
    [
      `folder: unknown key; did you mean "folders"?`,
      `ssh.hosts: unknown key; did you mean "host"?`,
      `folders.1: expected an absolute path, got "var"`,
      `folders.2: expected an absolute path, got "/a/../b"`,
      `strategy: expected one of ${strategyNames.join(", ")}, got "rsync"`,
      `ssh.host: expected a host name, ssh alias or IP address, got "-oProxyCommand=touch X"`,
      `ssh.login: expected the name of a login on the storage host, got "-l"`,
      "ssh.port: expected a whole number from 1 to 65535, got 0",
      `remoteFolder: expected a path without ".." and control characters, got "/data/../etc"`,
      "retries: expected a whole number from 0 to 100, got -1",
      `executeBefore.1: expected a command for /bin/sh, got ""`,
    ],
  );
});

Deno.test("a strategy's options that are not known are told by name", () => {
  const [fault, ...more] = faults({ options: { level: 3 } });
  assert(fault?.startsWith("options.level: unknown key"), fault);
  assertEquals(more, []);
});

Deno.test("nothing in a config can become an option or a word of ssh's own", () => {
  const host = "127.0.0.1";
  const dangerous: object[] = [
    { host: "-oProxyCommand=x" },
    { host: "a b;c" },
    { host: "a\nb" },
    { host: "$(x)" },
    { host: "user@host" },
    { host: "" },
    { host, login: "-l" },
    { host, login: "a b" },
    { host, login: "a@b" },
    { host, port: "22" },
    { host, port: 65536 },
    { host, identityFile: "key" },
    { host, identityFile: '/a" -oProxyCommand=x "' },
    { host, identityFile: "/a%d" },
    { host, knownHostsFile: "/a\nb" },
    { host, knownHostsFile: "/a\\b" },
    { host, command: "plasma; x" },
    { host, command: "./plasma" },
    { host, command: "-plasma" },
    { host, command: "$(x)" },
  ];
  for (const ssh of dangerous) {
    const [fault, ...more] = faults({ ssh });
    assert(fault?.startsWith("ssh."), JSON.stringify(ssh));
    assertEquals(more, []);
  }
});

Deno.test("remoteFolder is taken literally, or refused", () => {
  const literal = ["/data/$(touch x)", "/data/a b", "/data/'\"", "backup", "~/backup", "/data/;x"];
  for (const remoteFolder of literal) {
    assertEquals(parse({ ...least, ssh: { host: "h" }, remoteFolder }).remoteFolder, remoteFolder);
  }
  for (const remoteFolder of ["", "/a\nb", "/a\u0000", "..", "/a/..", "-rf", "/a\u007f"]) {
    assertNotEquals(faults({ remoteFolder }), []);
  }
});

Deno.test("a folder's name may have any character but NUL", () => {
  const folders = ["/-leading", "/new\nline", "/back\\slash", "/*?[x]", "/sp ace", "/..two"];
  assertEquals(parse({ ...least, folders }).folders, folders);
  assertNotEquals(faults({ folders: ["/a\u0000b"] }), []);
});

Deno.test("a folder that is spelt in another way is the same folder", () => {
  const folders = ["/srv/", "//srv", "/a//b/./c/", "/", "//"];
  assertEquals(parse({ ...least, folders }).folders, ["/srv", "/srv", "/a/b/c", "/", "/"]);
});
