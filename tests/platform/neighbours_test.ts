import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, fromRoot, namesIn } from "../support/folders.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";

/** What local users do to trees of their own that root backs up. */

const user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];

/** A subvolume of root with a file, and in it one that belongs to a user. */
async function makeSource(site: Site): Promise<string> {
  await site.subvolume("btrfs/data");
  site.write("btrfs/data/file");
  const own = await site.subvolume("btrfs/data/user");
  site.write("btrfs/data/user/file");
  for (const path of [site.path, site.at("btrfs")]) Deno.chmodSync(path, 0o755);
  await sh("chown", "-R", "1000:1000", own);
  return own;
}

/** A loop of a shell that a user runs as long as this is in scope. */
class Attacker implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(script: string) {
    this.#child = new Deno.Command(user[0]!, {
      args: [...user.slice(1), "sh", "-c", `while :; do\n${script}\ndone`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

/** The run stores all but one place, and says which. */
async function assertLeftOut(
  site: Site,
  place: string,
  reason: RegExp,
  more: object = {},
): Promise<void> {
  const { code, stderr, lastLine } = await site.backUp(["btrfs/data"], more);
  assertEquals(code, 3, stderr);
  assertStringIncludes(lastLine, `${site.at(place)} is left out`);
  assertMatch(lastLine, reason);
  const members = await site.members();
  assert(members.includes("btrfs/data/file"), `${members}`);
  assertEquals(members.filter((name) => name.startsWith(`${place}/`)), []);
  await site.assertNothingLeft();
}

const squats: Readonly<Record<string, (site: Site, own: string) => Promise<unknown>>> = {
  "a link": (site, own) => Deno.symlink(site.at("outside"), `${own}/.plasma`),
  "a file": (_site, own) => Deno.writeTextFile(`${own}/.plasma`, "content"),
  "a folder with subvolumes named like ours": async (site, own) => {
    const name = "20200101T000000Z-01234567-89abcdef-00000001";
    for (const suffix of ["", ".sent", "-256", "-256.sent"]) {
      await site.subvolume(`btrfs/data/user/.plasma/${name}${suffix}`);
      site.write(`btrfs/data/user/.plasma/${name}${suffix}/file`);
      await site.makeReadOnly(`btrfs/data/user/.plasma/${name}${suffix}`);
    }
    await sh("chmod", "777", `${own}/.plasma`);
  },
};

for (const [what, squat] of Object.entries(squats)) {
  for (const strategy of ["btrfs-snapshot", "btrfs-send"]) {
    btrfsTest(`row 52: ${what} as .plasma is a thing like others (${strategy})`, async (site) => {
      const own = await makeSource(site);
      site.write("outside/file");
      await squat(site, own);
      const before = await sh("find", own, "-printf", "%p %T@ %C@ %l\\n");
      const remoteFolder = site.addStorage("btrfs/store");
      const { code, stderr } = await site.backUp(["btrfs/data"], { strategy, remoteFolder });
      assertEquals(code, 0, stderr);
      assertEquals(await sh("find", own, "-printf", "%p %T@ %C@ %l\\n"), before);
      assertEquals(namesIn(site.at("outside")), ["file"]);
      if (strategy === "btrfs-send") return;
      const archive = `${remoteFolder}/${archivesIn(remoteFolder)[0]}`;
      const names = await sh("tar", "-tf", archive);
      assert(names.includes(`${own.slice(1)}/.plasma`), names);
      if (what.includes("subvolumes")) assert(names.includes("-256.sent/file"), names);
    });
  }
}

btrfsTest("row 52: a subvolume that is swapped for others all the time", async (site) => {
  const own = await makeSource(site);
  await site.subvolume("btrfs/secret");
  site.write("btrfs/secret/secret");
  Deno.chmodSync(site.at("btrfs/secret"), 0o700);
  await sh(user[0]!, ...user.slice(1), "btrfs", "-q", "subvolume", "create", `${own}/mine`);
  site.write("btrfs/data/user/mine/file");
  await using _ = new Attacker(`cd ${own}
mv mine aside; ln -s ${
    site.at("btrfs/secret")
  } mine; rm mine; mkdir mine; rmdir mine; mv aside mine`);
  for (let night = 0; night < 4; night++) {
    const { code, stderr } = await site.backUp(["btrfs/data"]);
    assert([0, 3].includes(code), stderr);
    if (code === 3) assertMatch(stderr, /data\/user\/\S+ is left out: /);
    const members = await site.members();
    assert(members.includes("btrfs/data/file"), `${members}`);
    assertEquals(members.filter((name) => name.includes("secret")), []);
    await site.assertNothingLeft();
  }
}, ["program setpriv"]);

btrfsTest("row 52: a link in the snapshot leads no mount out of the view", async (site) => {
  const own = await makeSource(site);
  await site.subvolume("btrfs/data/user/folder/nested");
  site.write("btrfs/data/user/folder/nested/file");
  await site.tmpfs("victim/nested");
  site.write("victim/nested/visible");
  // At the moment of the snapshot, and only then, the folder is a link.
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ snapshot*/nested\\ *) "$real" "$@" && exec touch ${
      site.at("taken")
    } ;;
*subvolume\\ snapshot*/user\\ *) while ! [ -e ${site.at("taken")} ]; do sleep 0.01; done
mv ${own}/folder ${own}/aside
ln -s ${site.at("victim")} ${own}/folder; "$real" "$@"; status=$?
rm ${own}/folder; mv ${own}/aside ${own}/folder; exit $status ;; esac; exec "$real" "$@"`,
  );
  site.fake(
    "tar",
    `ls ${site.at("victim/nested")} >>${site.at("victim/seen")}; exec "$real" "$@"`,
  );
  await assertLeftOut(
    site,
    "btrfs/data/user/folder/nested",
    /its place is missing in what holds it/,
  );
  assertEquals(site.read("victim/seen"), "visible\nvisible\n");
  assert((await site.members()).includes("btrfs/data/user/file"));
});

btrfsTest(
  "row 52: a user who owns the top level swaps the folder of the snapshots",
  async (site) => {
    await makeSource(site);
    const top = site.at("btrfs");
    await sh("chown", "1000:1000", top);
    site.write("outside/file");
    {
      await using _ = new Attacker(`cd ${top}
mv .plasma aside; mkdir .plasma; rmdir .plasma; ln -s ${site.at("outside")} .plasma; rm .plasma
mv aside .plasma`);
      for (let night = 0; night < 4; night++) {
        const { code, stderr } = await site.backUp(["btrfs/data"]);
        if (code === 1) assertMatch(stderr, /snapshot: /);
        else assert([0, 3].includes(code), stderr);
        assertEquals(namesIn(site.at("outside")), ["file"]);
      }
    }
    await sh(
      "sh",
      "-c",
      // It may have been killed before there was a folder of root to put aside.
      'cd "$0"; [ -O .plasma ] && [ ! -h .plasma ] || rm -fd .plasma; [ ! -d aside ] || mv -T aside .plasma',
      top,
    );
    await site.backUpWell(["btrfs/data"]);
  },
  ["program setpriv"],
);

btrfsTest("row 52: a live place that is swapped meanwhile is not archived", async (site) => {
  const own = await makeSource(site);
  await site.tmpfs("btrfs/data/user/folder/live");
  site.write("btrfs/data/user/folder/live/file");
  site.write("secret/live/secret");
  await assertLeftOut(site, "btrfs/data/user/folder/live", /something else was in its place/, {
    executeAfterSnapshot: [
      `mv ${own}/folder ${own}/aside && ln -s ${site.at("secret")} ${own}/folder`,
    ],
  });
  await sh("sh", "-c", 'rm "$0/folder" && mv "$0/aside" "$0/folder"', own);
});

btrfsTest("row 53: a live filesystem that is unmounted meanwhile", async (site) => {
  await makeSource(site);
  const live = await site.tmpfs("btrfs/data/live");
  site.write("btrfs/data/live/file");
  await assertLeftOut(site, "btrfs/data/live", /something else was in its place/, {
    executeAfterSnapshot: [`umount ${live}`],
  });
});

for (const strategy of ["btrfs-snapshot", "tar"]) {
  btrfsTest(`row 53: a FUSE mount that root may not enter (${strategy})`, async (site) => {
    await makeSource(site);
    const path = site.makeFolder("btrfs/data/user/fuse");
    const server = new Deno.Command("python3", {
      args: [fromRoot("tests/testdata/dead_network_mount.py"), "fuse.mine", path, "1000"],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    try {
      await server.stdout.getReader().read();
      await assertLeftOut(site, "btrfs/data/user/fuse", /permission denied/, { strategy });
      const itself = await site.backUp(["btrfs/data/user/fuse"], { strategy });
      assertEquals(itself.code, 1, itself.stderr);
    } finally {
      server.kill("SIGKILL");
      await server.status;
      await sh("umount", path);
    }
  }, ["program python3"]);
}

btrfsTest("row 53: a subvolume with an active swapfile", async (site) => {
  await makeSource(site);
  const file = site.at("btrfs/data/user/swapfile");
  await sh(
    "sh",
    "-c",
    ': >"$0"; chattr +C "$0"; chmod 600 "$0"; fallocate -l 10M "$0"; mkswap -q "$0"; swapon "$0"',
    file,
  );
  try {
    await assertLeftOut(site, "btrfs/data/user", /Text file busy/);
    const { code, lastLine } = await site.backUp(["btrfs/data/user"]);
    assertEquals(code, 1);
    assertMatch(lastLine, /cannot snapshot .*user.*Text file busy/);
    const remoteFolder = site.addStorage("btrfs/store");
    const send = await site.backUp(["btrfs/data"], { strategy: "btrfs-send", remoteFolder });
    assertEquals(send.code, 3, send.stderr);
    assertMatch(send.lastLine, /data\/user is left out: Text file busy/);
  } finally {
    await sh("swapoff", file);
  }
}, ["program mkswap", "program swapon"]);

btrfsTest("row 53: subvolumes that come and go all the time", async (site) => {
  const own = await makeSource(site);
  await using _ = new Attacker(`btrfs -q subvolume create ${own}/new; mv ${own}/new ${own}/newer
rmdir ${own}/newer`);
  for (let night = 0; night < 3; night++) {
    const { code, stderr } = await site.backUp(["btrfs/data"]);
    assert([0, 3].includes(code), stderr);
    assert((await site.members()).includes("btrfs/data/user/file"));
    await site.assertNothingLeft();
  }
}, ["program setpriv"]);

btrfsTest("row 53: subvolumes that never come to rest are named and left out", async (site) => {
  const own = await makeSource(site);
  site.fake(
    "btrfs",
    `case "$*" in *subvolume\\ snapshot*/user\\ *) "$real" -q subvolume create ${own}/new$$ ;; esac
exec "$real" "$@"`,
  );
  const { code, stderr, lastLine } = await site.backUp(["btrfs/data"]);
  assertEquals(code, 3, stderr);
  assertMatch(lastLine, /data\/user\/new\d+ is left out: it came, went or moved/);
  assert((await site.members()).includes("btrfs/data/user/file"));
  await site.assertNothingLeft();
});

btrfsTest("row 53: a filesystem below the folder that is mounted read-only", async (site) => {
  await makeSource(site);
  await site.addBtrfs("btrfs/data/inner");
  site.write("btrfs/data/inner/file");
  await sh("mount", "-o", "remount,ro", site.at("btrfs/data/inner"));
  await assertLeftOut(site, "btrfs/data/inner", /mounted read-only/);
});

btrfsTest("row 53: rows of a list in the names of others change nothing", async (site) => {
  const own = await makeSource(site);
  const row = async (path: string, more: string) => {
    const list = await sh("btrfs", "subvolume", "list", "-pcguqR", site.at("btrfs"));
    const line = list.split("\n").find((line) => line.endsWith(` path ${path}`))!;
    return `\n${line.replace(/ path .*$/, "")} path ${more}`;
  };
  // Of an id that is there already, and of one that is not.
  const victim = await row("data", "data");
  const names = [
    `x${victim}`,
    `y${victim.replace(/ID \d+/, "ID 99999").replace(/data$/, "data/user")}`,
    `z${victim.replace(/ID \d+/, "ID 1").replace(/uuid +\S+ path data$/, "uuid 0 path data/user")}`,
  ];
  for (const name of names) {
    await sh("btrfs", "-q", "subvolume", "create", `${own}/${name.replaceAll("/", "%")}`);
  }
  const { folders: [covered] } = await site.coverage(["btrfs/data"]);
  assertEquals(covered!.snapshots.length, 2 + names.length);
  await site.backUpWell(["btrfs/data"]);
  const members = await site.members();
  for (const name of ["btrfs/data/file", "btrfs/data/user/file"]) assert(members.includes(name));
});
