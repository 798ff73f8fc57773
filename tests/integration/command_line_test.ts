import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";

const commands = ["backup", "rotate", "list", "init", "serve", "help"];

Deno.test("--version prints the name and the version", async () => {
  const { code, stdout, stderr } = await plasma(["--version"]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^plasma \d+\.\d+\.\d+\n$/);
});

Deno.test("help names every command and every exit status", async () => {
  const { code, stdout } = await plasma(["help"]);
  assertEquals(code, 0);
  for (const command of commands) assertMatch(stdout, new RegExp(`^ +${command} `, "m"));
  for (const status of ["0", "1", "2", "3", "4", "128\\+n"]) {
    assertMatch(stdout, new RegExp(`^ +${status} `, "m"));
  }
  for (const args of [[], ["--help"], ["-h"]]) assertEquals((await plasma(args)).stdout, stdout);
});

for (const command of commands) {
  Deno.test(`help explains ${command}, as ${command} --help does`, async () => {
    const { code, stdout } = await plasma(["help", command]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, `plasma ${command}`);
    const other = await plasma([command, "--help"]);
    if (command !== "help") assertEquals(other.stdout, stdout);
    assertEquals(other.code, 0);
  });
}

const wrongCommandLines: readonly (readonly [args: string[], message: RegExp])[] = [
  [["bakcup"], /unknown command "bakcup", did you mean "backup"\?/],
  [["frobnicate"], /unknown command "frobnicate"; see plasma help$/],
  [["lsit"], /unknown command "lsit", did you mean "list"\?/],
  [["help", "lists"], /"lists", did you mean "list"\?/],
  [["backup", "--dryrun"], /unknown flag --dryrun, did you mean --dry-run\?/],
  [
    ["backup", "--to", "/nowhere/storage", "--exlude=x", "/etc"],
    /--exlude.*did you mean --exclude\?/,
  ],
  [["backup", "--to"], /--to needs a value/],
  [["backup", "--to", "--json", "/etc"], /--to needs a value/],
  [["backup", "--json=yes"], /--json takes no value/],
  [["backup", "--to", "/nowhere/storage"], /no FOLDER to back up/],
  [["backup", "--to", "/nowhere/storage", "--config", "/x", "/etc"], /exclude each other/],
  [["backup", "/etc"], /goes only with --to/],
  [["backup", "--exclude", "x"], /--exclude goes only with --to/],
  [
    ["backup", "--to", "/nowhere/storage", "--strategy", "tra", "/etc"],
    /strategy: expected one of .*tar/,
  ],
  [
    ["backup", "--to", "/nowhere/storage", "--retries", "2.5", "/etc"],
    /retries: expected a whole number/,
  ],
  [
    ["backup", "--to", "/nowhere/storage", "--bandwidth-limit", "fast", "/etc"],
    /bandwidthLimit: .*"fast"/,
  ],
  [["backup", "--to", "/nowhere/storage", ""], /empty/],
  [["backup", "--to", "", "/etc"], /empty/],
  [["rotate", ""], /empty/],
  [["init", ""], /empty/],
  [["backup", "--to", "ftp://host/x", "/etc"], /"ftp:\/\/host\/x" is not a destination/],
  [["backup", "--to", "host:relative", "/etc"], /must be absolute/],
  [["backup", "--to", "-oProxyCommand=touch x:/y", "/etc"], /--to|is not a/],
  [["backup", "--config", "/nowhere/agent.json"], /cannot read \/nowhere\/agent.json/],
  [["rotate"], /no FOLDER to rotate/],
  [["rotate", "--dry", "/x"], /unknown flag --dry, did you mean --dry-run\?/],
  [["list", "--form", "/x"], /unknown flag --form, did you mean --from\?/],
  [["list", "/x"], /unexpected argument "\/x"/],
  [["init", "/nowhere/a", "/nowhere/b"], /init takes one FOLDER/],
  [["serve", "extra"], /unexpected argument "extra"/],
  [["serve", "--allow", "everything"], /"everything" is neither a verb nor a group/],
  [["serve", "--root", "/nowhere"], /--root \/nowhere/],
];

for (const [args, message] of wrongCommandLines) {
  Deno.test(`plasma ${args.join(" ")} is refused with status 2`, async () => {
    const { code, stdout, lastLine } = await plasma(args, { stdin: "" });
    assertEquals([code, stdout], [2, ""]);
    assertMatch(lastLine, message);
    assertMatch(lastLine, /^plasma: /);
  });
}

Deno.test("relative paths mean the caller's folder", async () => {
  using folder = new TemporaryFolder();
  folder.write("here/data/file", "content");
  const options = { currentFolder: folder.at("here") };

  const backup = await plasma(["backup", "--to", "../storage", "data"], options);
  assertEquals(backup.code, 0, backup.stderr);
  assertStringIncludes(backup.stderr, `made the storage folder ${folder.at("storage")}`);
  const name = backup.stdout.trimEnd();

  const list = await plasma(["list", "--from", "../storage"], options);
  assertStringIncludes(list.stdout, name);
  const rotate = await plasma(["rotate", "../storage"], options);
  assertEquals(rotate.code, 0, rotate.stderr);
  const init = await plasma(["init", "./new"], options);
  assertEquals([init.code, namesIn(folder.at("here/new"))], [0, ["plasma-rotate.json"]]);
});

Deno.test("a path after -- may begin with dashes", async () => {
  using folder = new TemporaryFolder();
  folder.write("--json/file", "content");
  const { code, stdout, stderr } = await plasma(["backup", "--to", "storage", "--", "--json"], {
    currentFolder: folder.path,
  });
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^\d{8}-\d{4}-[a-z]+\.tar\n$/);
});

Deno.test("--quiet says nothing when all is well", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const { code, stdout, stderr } = await plasma(
    ["backup", "--quiet", "--to", storage, folder.at("data")],
  );
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

Deno.test("a current folder that Deno cannot name is refused in one line", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const enter = 'd=$(printf "x\\377") && mkdir "$d" && cd "$d" && exec "$@"';
  const options = { currentFolder: folder.path, through: ["sh", "-c", enter, "sh"] };
  const args = ["backup", "--to", folder.storage("storage"), folder.at("data")];
  const { code, stderr, lastLine } = await plasma(args, options);
  assertEquals(code, 2, stderr);
  assertMatch(lastLine, /^plasma: .*the current folder.*not valid UTF-8/);
});
