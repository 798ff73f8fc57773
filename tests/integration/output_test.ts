import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, type PlasmaOutput } from "../support/plasma.ts";

/** Run the program with its output sent elsewhere. */
function into(redirection: string, args: readonly string[]): Promise<PlasmaOutput> {
  return plasma(args, { through: ["sh", "-c", `exec "$@" ${redirection}`, "sh"] });
}

Deno.test(
  "row 75: with a full standard output the status tells what became of the archive",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    folder.write("data/file", "content");
    const args = ["backup", "--to", storage, folder.at("data")];
    for (const more of [[], ["--json"]]) {
      const before = archivesIn(storage);
      const { code, lastLine } = await into(">/dev/full", [...args, ...more]);
      const [made] = archivesIn(storage).filter((name) => !before.includes(name));
      assertEquals(code, 3, lastLine);
      assertMatch(lastLine, /stored, but output: cannot write to standard output: no space left/);
      assertStringIncludes(lastLine, made!);
    }
    const failed = await into(">/dev/full", ["backup", "--json", "--to", storage, "/nothing-here"]);
    assertEquals(failed.code, 1);
    assertMatch(failed.lastLine, /\/nothing-here does not exist.*cannot write to standard output/);
  },
);

Deno.test("row 75: no command ends with a stack trace for want of room for its output", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("data/file", "content");
  assertEquals((await plasma(["backup", "--to", storage, folder.at("data")])).code, 0);
  const from = ["--from", storage];
  const commands = [
    ["list", ...from],
    ["list", "--json", ...from],
    ["verify", ...from],
    ["status", storage],
    ["rotate", storage],
    ["restore", "latest", "--dry-run", ...from],
    ["restore", "latest", "--target", "-", ...from],
    ["help"],
    ["backup", "--help"],
    ["--version"],
    ["backup", "--dry-run", "--to", storage, folder.at("data")],
  ];
  for (const args of commands) {
    const { code, stderr } = await into(">/dev/full", args);
    assertEquals([1, 3].includes(code), true, `${args}: ${code}`);
    assertMatch(stderr, /no space left|write error/i, args.join(" "));
    assertEquals(/\bat .*:\d+:\d+|internal error|Uncaught/.test(stderr), false, stderr);
  }
});

Deno.test("row 75: a closed standard output and error change nothing", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("data/file", "content");
  for (const redirection of [">&-", "2>&-", ">&- 2>&-"]) {
    const before = archivesIn(storage).length;
    const { code } = await into(redirection, ["backup", "--to", storage, folder.at("data")]);
    assertEquals([code, archivesIn(storage).length], [0, before + 1], redirection);
  }
});
