import { assertEquals, assertStringIncludes } from "@std/assert";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";

/** What the files of an archive of subvolumes are called when it is restored. */

const name = "20250101-0000-daily.btrfs";

/** Restore an archive of the subvolumes NAME: PATH with so many files, and look at what is there. */
async function restore(
  folder: TemporaryFolder,
  subvolumes: readonly (readonly [name: string, path: string])[],
  files: readonly string[],
) {
  const storage = folder.storage("storage");
  const records = subvolumes.map(([name, path], index) => ({
    name,
    path,
    identity: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
  }));
  const run = "20250101T000000Z-aaaaaaaa-bbbbbbbb-cccccccc";
  folder.write(
    `storage/${name}/manifest.json`,
    JSON.stringify({ version: 2, run, bytes: 0, subvolumes: records }),
  );
  for (const { name: one } of records) Deno.mkdirSync(`${storage}/${name}/${one}`);
  for (const file of files) folder.write(`storage/${name}/${file}`, file);
  const target = folder.at("target");
  const result = await plasma(["restore", "latest", "--from", storage, "--target", target]);
  return { ...result, target };
}

/** The path of each file in a folder, with what is in it. */
async function contents(target: string): Promise<Record<string, string>> {
  const paths = (await sh("find", target, "-type", "f", "-printf", "%P\n")).trim().split("\n")
    .sort();
  return Object.fromEntries(
    paths.map((path) => [path, Deno.readTextFileSync(`${target}/${path}`)]),
  );
}

Deno.test("row 82: what is named like another subvolume of the archive stays in its place", async () => {
  {
    using folder = new TemporaryFolder();
    const { code, stderr, target } = await restore(
      folder,
      [["%2F", "/"], ["srv%2Fdata", "/srv/data"]],
      ["%2F/srv%2Fdata/a", "%2F/%2F", "%2F/x/a", "srv%2Fdata/srv%2Fdata", "srv%2Fdata/a"],
    );
    assertEquals(code, 0, stderr);
    assertEquals(await contents(target), {
      "%2F": "%2F/%2F",
      "srv%2Fdata/a": "%2F/srv%2Fdata/a",
      "srv/data/a": "srv%2Fdata/a",
      "srv/data/srv%2Fdata": "srv%2Fdata/srv%2Fdata",
      "x/a": "%2F/x/a",
    });
  }
  using folder = new TemporaryFolder();
  const { code, stderr, target } = await restore(
    folder,
    [["n1", "/n2"], ["n2", "/zz/yy"], ["n3", "/\u0001"]],
    ["n1/a", "n2/a", "n3/a"],
  );
  assertEquals(code, 0, stderr);
  assertEquals(await contents(target), { "n2/a": "n1/a", "zz/yy/a": "n2/a", "\u0001/a": "n3/a" });
});

Deno.test("row 82: subvolumes without a path of their own are refused, and stay listed", async () => {
  for (
    const paths of [["/a\0b"], ["/a", "/a"], ["/a//b"], ["/a/"], ["/./a"], ["/a/.."], ["a"], [""]]
  ) {
    using folder = new TemporaryFolder();
    const { code, lastLine, target } = await restore(
      folder,
      paths.map((path, index) => [`n${index}`, path]),
      ["n0/file"],
    );
    assertEquals(code, 1, lastLine);
    assertStringIncludes(lastLine, "its manifest is wrong");
    assertStringIncludes(lastLine, "one by one");
    assertEquals(namesIn(target), []);
  }
});
