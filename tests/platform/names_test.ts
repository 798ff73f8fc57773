import { assertEquals } from "@std/assert";
import { sh } from "../support/sh.ts";
import { btrfsTest } from "../support/site.ts";

const names = [
  "with space",
  " leading and trailing ",
  "new\nline",
  "line break at the end\n",
  "back\\slash",
  "\\040octal\\n",
  "\"quotes'and`",
  "-leading-dash",
  "--",
  "$(touch executed)",
  ";touch executed;",
  "glob*[a-z]?",
  "glöckchen ☃",
  "tab\tand\rreturn",
  "#hash",
  "a:b",
  "x".repeat(255),
  // rows of `btrfs subvolume list` inside of a name
  "x\nID 5 gen 7 top level 5 path y",
  "x\nID 256 gen 7 top level 5 path btrfs",
  "x\nID 99999 gen 7 top level 5 path z",
  "/run/plasma".slice(1).replace("/", " - "),
];

btrfsTest("subvolumes, mounts and folders may have any name", async (site) => {
  await site.subvolume("btrfs/data");
  for (const [index, name] of names.entries()) {
    const place = `btrfs/data/${index}/${name}`;
    site.write(`${place}/file`, name);
    await site.subvolume(`${place}/subvolume/${name}`);
    site.write(`${place}/subvolume/${name}/file`, name);
    await site.bind(`${place}/subvolume`, `${place}/bound/${name}`);
  }
  await site.backUpWell(["btrfs/data"]);
  const twin = await site.restore();
  for (const [index, name] of names.entries()) {
    const place = `${twin}/btrfs/data/${index}/${name}`;
    assertEquals(site.read(`${place}/file`), name);
    assertEquals(site.read(`${place}/subvolume/${name}/file`), name);
    assertEquals(site.read(`${place}/bound/${name}/${name}/file`), name);
  }
  assertEquals(await sh("find", ".", site.path, "-maxdepth", "2", "-name", "executed*"), "");
});

btrfsTest("configured folders may have any name (row 6)", async (site) => {
  const folders = [];
  for (const [index, name] of names.entries()) {
    await site.subvolume(`btrfs/${index}/${name}`);
    site.write(`btrfs/${index}/${name}/data${name}`.slice(0, 300), name);
    site.write(`btrfs/${index}/${name}/${name}/file`, name);
    folders.push(`btrfs/${index}/${name}/${name}`, `btrfs/${index}/${name}`);
  }
  await site.mountSubvolume("mounted\nat -x", `0/${names[0]}`);
  await site.backUpWell([...folders, "mounted\nat -x"]);
  const twin = await site.restore();
  for (const [index, name] of names.entries()) {
    assertEquals(site.read(`${twin}/btrfs/${index}/${name}/${name}/file`), name);
  }
  assertEquals(site.read(`${twin}/mounted\nat -x/${names[0]}/file`), names[0]);
});

btrfsTest(
  "the name of a read-only subvolume cannot make another one look read-only",
  async (site) => {
    await site.subvolume("btrfs/data");
    site.write("btrfs/data/file", "frozen");
    const id = (await sh("btrfs", "inspect-internal", "rootid", site.at("btrfs/data"))).trim();
    const name = `x\nID ${id} gen 7 top level 5 path data`;
    await site.subvolume(`btrfs/${name}`);
    await site.makeReadOnly(`btrfs/${name}`);
    const change = `echo changed >${site.at("btrfs/data/file")}`;
    await site.backUpWell(["btrfs/data"], { executeAfterSnapshot: [change] });
    assertEquals(site.read(`${await site.restore()}/btrfs/data/file`), "frozen");
  },
);

btrfsTest(
  "row 53: a subvolume whose name is not UTF-8 is named and left out, and harmless elsewhere",
  async (site) => {
    site.write("btrfs/data/file");
    await sh(
      "sh",
      "-c",
      `btrfs -q subvolume create "$(printf '%s/btrfs/b\\344d' "$0")"`,
      site.path,
    );
    await site.backUpWell(["btrfs/data"]);
    await sh(
      "sh",
      "-c",
      `btrfs -q subvolume create "$(printf '%s/btrfs/data/b\\344d' "$0")"`,
      site.path,
    );
    for (const more of [{}, { strategy: "btrfs-send", remoteFolder: site.at("btrfs/store") }]) {
      site.addStorage("btrfs/store");
      const { code, lastLine } = await site.backUp(["btrfs/data"], more);
      assertEquals([code, lastLine.includes("not valid UTF-8")], [3, true], lastLine);
    }
    assertEquals((await site.members()).includes("btrfs/data/file"), true);
  },
);
