import { assertEquals, assertMatch } from "@std/assert";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest } from "../support/site.ts";

btrfsTest("a dry run says for each folder what is frozen, live and skipped", async (site) => {
  await site.subvolume("btrfs/@");
  await site.subvolume("btrfs/@/nested");
  await site.subvolume("btrfs/@/nested/readonly");
  await site.makeReadOnly("btrfs/@/nested/readonly");
  await site.mountSubvolume("root", "@");
  await site.tmpfs("root/memory");
  await site.mount("root/proc", "-t", "proc", "proc");
  site.write("plain/file");
  const config = site.config(["root", "plain"]);
  const { code, stdout, stderr } = await plasma(["backup", "--dry-run", "--config", config]);
  assertEquals([code, stderr], [0, ""]);
  const lines = stdout.trimEnd().split("\n").slice(1)
    .map((line) => line.replaceAll(site.path, "").replaceAll(/  +/g, "  ").trimEnd());
  const [id, nested, readonly] = await Promise.all(
    ["root", "root/nested", "root/nested/readonly"].map(async (name) =>
      (await sh("btrfs", "inspect-internal", "rootid", site.at(name))).trim()
    ),
  );
  assertEquals(lines, [
    "/root",
    `  snapshot  /root  subvolume ${id} (/@)`,
    `  snapshot  /root/nested  subvolume ${nested} (/@/nested)`,
    `  snapshot  /root/nested/readonly  subvolume ${readonly} (/@/nested/readonly), read-only already`,
    "  live  /root/memory  on tmpfs",
    "  skipped  /root/proc  no files of its own (proc)",
    "/plain",
    `  live  /plain  on ${(await sh("findmnt", "-n", "-o", "FSTYPE", "-T", site.path)).trim()}`,
  ]);
});

btrfsTest("a dry run changes nothing, and runs no hook", async (site) => {
  await site.subvolume("btrfs/data");
  const state = () => sh("find", site.path, "-printf", "%p %T@ %C@\\n");
  const more = { executeBefore: [`touch ${site.at("hook-ran")}`] };
  const config = site.config(["btrfs/data"], more);
  const before = await state();
  for (const flags of [[], ["--json"]]) {
    const { code } = await plasma(["backup", "--dry-run", ...flags, "--config", config]);
    assertEquals(code, 0);
  }
  assertEquals(await state(), before);
});

btrfsTest("a dry run of what cannot be archived fails like the run (row 18)", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("plain/file");
  const faults = { "plain": /plain is on btrfs/, "btrfs/missing": /btrfs\/missing does not exist/ };
  for (const [folder, words] of Object.entries(faults)) {
    const config = site.config([folder]);
    const { code, lastLine } = await plasma(["backup", "--dry-run", "--config", config]);
    assertEquals(code, 1);
    assertMatch(lastLine, words);
  }
});

btrfsTest("the strategy can be chosen on the command line", async (site) => {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  const flags = ["--strategy", "btrfs-snapshot", "--to", site.storage];
  const { code, stderr } = await plasma(["backup", ...flags, "data"], {
    currentFolder: site.at("btrfs"),
  });
  assertEquals(code, 0, stderr);
  assertEquals(await site.members(), ["btrfs/data", "btrfs/data/file"]);
  await site.assertNothingLeft();
});

btrfsTest("row 66: btrfs-send tells what is stored by another path only", async (site) => {
  await site.subvolume("btrfs/data/inner");
  site.write("btrfs/data/inner/folder/file");
  await site.mountSubvolume("m1", "data/inner");
  await site.mountSubvolume("m2", "data/inner");
  await site.bind("btrfs/data/inner/folder", "m1/bound");
  const more = { strategy: "btrfs-send" };
  const args = ["backup", "--dry-run", "--config", site.config(["m1", "m2"], more)];
  const { code, stdout, stderr } = await plasma(args);
  assertEquals(code, 0, stderr);
  const told = (stdout + stderr).replaceAll(site.path, "").split("\n")
    .filter((line) => line.includes("shows the same"));
  assertEquals(told.map((line) => line.replace(/^\w+: /, "")), [
    "/m1/bound shows the same as /m1/folder, and is stored under that path only",
    "/m2 shows the same as /m1, and is stored under that path only",
  ]);
  const single = await plasma(["backup", "--dry-run", "--config", site.config(["m2"], more)]);
  assertEquals((single.stdout + single.stderr).includes("shows the same"), false);
});
