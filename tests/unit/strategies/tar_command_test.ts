import { assertEquals, assertStringIncludes } from "@std/assert";
import { judgeTar } from "../../../src/strategies/judge_tar.ts";
import {
  patternList,
  requireGnuTar,
  tarCommand,
  type TarJob,
} from "../../../src/strategies/tar_command.ts";
import { run } from "../../../src/system/process.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { sh } from "../../support/sh.ts";

/** A tree of files, and the members that the real tar makes of it. */
class Tree implements Disposable {
  readonly folder = new TemporaryFolder();

  constructor(...files: string[]) {
    for (const file of files) this.folder.write(`root/${file}`, file);
  }

  /** The members of the archive, folders left out, sorted. */
  async members(
    { folders = ["/"], ...job }: Partial<Omit<TarJob, "folders">> & { folders?: string[] },
  ): Promise<string[]> {
    const root = this.folder.at("root");
    const { exit, stdout, messages } = await run(tarCommand({
      folders: folders.map((path) => ({ root, path })),
      exclude: [],
      excludeCaches: false,
      omit: [],
      empty: [],
      ...job,
    }));
    judgeTar(exit, messages.lines, () => false);
    Deno.writeFileSync(this.folder.at("tar"), stdout);
    const names = await sh(
      "tar",
      "--list",
      "--quoting-style=literal",
      "--file",
      this.folder.at("tar"),
    );
    return names.split("\n").filter((name) => name !== "" && !name.endsWith("/")).sort();
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

Deno.test("tarCommand() names members as Plasma 1.0 did, without the leading slash", async () => {
  using tree = new Tree("etc/passwd", "etc/ssh/config", "srv/data", "other");
  assertEquals(await tree.members({ folders: ["/etc", "/srv"] }), [
    "etc/passwd",
    "etc/ssh/config",
    "srv/data",
  ]);
  assertEquals(await tree.members({ folders: ["/"] }), [
    "etc/passwd",
    "etc/ssh/config",
    "other",
    "srv/data",
  ]);
});

Deno.test("tarCommand() takes folders by the letter, whatever they are called", async () => {
  const odd = [
    "-leading",
    "--checkpoint=1",
    "*",
    "[x]",
    "a b",
    "back\\slash",
    "tab\t",
    "@x",
    "\\012",
  ];
  using tree = new Tree(...odd.map((name) => `${name}/file`), "x/file", "plain/file");
  const expected = odd.map((name) => `${name}/file`).sort();
  assertEquals(await tree.members({ folders: odd.map((name) => `/${name}`) }), expected);
});

Deno.test("tarCommand() leaves out patterns: names anywhere, paths from the root", async () => {
  using tree = new Tree(
    "a.tmp",
    "srv/b.tmp",
    "srv/cache/x",
    "home/srv/cache/y",
    "srv/cache2/z",
    "srv/keep",
    "var/log/1",
    "home/log/2",
  );
  const exclude = ["*.tmp", "/srv/cache/", "/var/*/1"];
  for (const folders of [["/"], ["/srv", "/home", "/var"]]) {
    assertEquals(await tree.members({ folders, exclude }), [
      "home/log/2",
      "home/srv/cache/y",
      "srv/cache2/z",
      "srv/keep",
    ]);
  }
  assertEquals(await tree.members({ folders: ["/srv"], exclude: ["cache"] }), [
    "srv/b.tmp",
    "srv/cache2/z",
    "srv/keep",
  ]);
});

Deno.test("tarCommand() leaves out its own paths by the letter", async () => {
  using tree = new Tree("s/*/x", "s/a/x", "s/[ab]/x", "s/b\\c/x", "t/s/a/x", "s/file", "s/file2");
  for (const folders of [["/"], ["/s", "/t"]]) {
    assertEquals(await tree.members({ folders, omit: ["/s/*", "/s/[ab]", "/s/b\\c", "/s/file"] }), [
      "s/a/x",
      "s/file2",
      "t/s/a/x",
    ]);
  }
});

Deno.test("row 53: tarCommand() leaves out the same whatever makes a pattern fast", async () => {
  const names = [
    "a",
    "b.tmp",
    "tmp",
    "cache",
    "x.tmpy",
    "ab",
    "[a]",
    "a*b",
    "\\a",
    ".tmp",
    "é",
    "~",
  ];
  const paths = names.flatMap((a) => [a, ...names.map((b) => `${a}/${b}`)])
    .flatMap((path) => [`${path}/f`, `${path}/c.tmp/g`, `${path}/cache/sub/b~`]);
  using tree = new Tree(...paths.map((path) => `s/${path}`));
  const patterns = [
    ...["*.tmp", "cache*", "*~", "*a*", "*", "**", "tmp", "a", "é", "é*", ".tmp", "*.tmp/", "~"],
    ...[
      "a*b",
      "?",
      "a?b",
      "[a]",
      "\\[a]",
      "\\a",
      "\\\\a",
      "a/b.tmp",
      "cache/*",
      "*/tmp",
      "[!a]b",
      "s/a",
    ],
    ...["/s/a", "/s/a/cache/", "/s/*/tmp", "/s/\\[a]", "/s/é", "/s/cache*", "/s/a\\*b", "/é"],
  ];
  for (const pattern of patterns) {
    const plain = pattern.length > 1 ? pattern.replace(/\/$/, "") : pattern;
    const mode = plain.startsWith("/") ? "--anchored" : "--no-anchored";
    const flags = [mode, "--wildcards", `--exclude=${plain.replace(/^\//, "")}`];
    const root = tree.folder.at("root");
    const all = await sh(
      "sh",
      "-c",
      'cd "$0"; tar -c "$@" s | tar -t --quoting-style=literal',
      root,
      ...flags,
    );
    const expected = all.split("\n").filter((name) => name !== "" && !name.endsWith("/")).sort();
    assertEquals(await tree.members({ folders: ["/s"], exclude: [pattern] }), expected, pattern);
  }
});

Deno.test("tarCommand() keeps folders of which only the content is left out", async () => {
  using tree = new Tree("p/proc/1/status", "p/[x]/2", "p/x/3", "p/b\\c/4", "q/p/proc/5");
  const job = { folders: ["/p", "/q"], empty: ["/p/proc", "/p/[x]", "/p/b\\c"] };
  assertEquals(await tree.members(job), ["p/x/3", "q/p/proc/5"]);
  const all = await sh("tar", "--list", "--quoting-style=literal", "--file", tree.folder.at("tar"));
  for (const name of ["p/proc/", "p/[x]/", "p/b\\c/"]) assertStringIncludes(all, `\n${name}\n`);
});

Deno.test("tarCommand() can leave out caches that say so themselves", async () => {
  using tree = new Tree("a/file", "cache/content");
  tree.folder.write("root/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
  const folders = ["/a", "/cache"];
  assertEquals(await tree.members({ folders, excludeCaches: true }), [
    "a/file",
    "cache/CACHEDIR.TAG",
  ]);
  assertEquals((await tree.members({ folders })).length, 3);
});

for (const folders of [["/"], ["/etc", "/srv"]]) {
  Deno.test(`row 53: tarCommand() leaves out paths that are too long, of ${folders}`, async () => {
    using tree = new Tree("etc/a/b/c/d", "etc/é*/f", "etc/a/b c/d", "srv/x");
    // 12, 12, 10 and 6 bytes from the root.
    const all = ["etc/a/b c/d", "etc/a/b/c/d", "etc/é*/f", "srv/x"];
    assertEquals(await tree.members({ folders, longestPath: 12 }), all);
    assertEquals(await tree.members({ folders, longestPath: 11 }), ["etc/é*/f", "srv/x"]);
    assertEquals(await tree.members({ folders, longestPath: 10, exclude: ["/srv"] }), ["etc/é*/f"]);
    assertEquals(await tree.members({ folders, longestPath: 9 }), ["srv/x"]);
  });
}

Deno.test("row 53: tarCommand() leaves out the same by a list as by its command line", async () => {
  const odd = [
    "a ",
    "a\t",
    "b\nc",
    "*",
    "[d]",
    "e\\f",
    "plain",
    " g",
    "#h",
    "!i",
    "ä",
    "j\u00a0k",
    "l\u3000",
  ];
  for (const folders of [["/"], ["/p"]]) {
    using tree = new Tree(...[...odd, "a", "bxc?"].map((name) => `p/${name}/file`), "p/zoe/x");
    const places = odd.map((name) => `/p/${name}`);
    for (const how of ["omit", "empty"] as const) {
      const job = { [how]: places };
      const byArguments = await tree.members({ folders, ...job });
      // The first line of a folder with two.
      const others = byArguments.filter((member) => member !== "p/b");
      assertEquals(others, ["p/a/file", "p/bxc?/file", "p/zoe/x"]);
      const listFile = tree.folder.write(
        "list",
        patternList({
          folders: folders.map((path) => ({ root: "", path })),
          exclude: [],
          excludeCaches: false,
          omit: [],
          empty: [],
          ...job,
        }),
      );
      assertEquals(await tree.members({ folders, ...job, listFile }), byArguments);
    }
  }
});

Deno.test("requireGnuTar() is content with the tar of this machine", async () => {
  await requireGnuTar();
});
