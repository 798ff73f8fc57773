import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { backUp, flip, newKey } from "../support/archives.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { HostileSite } from "../support/hostile.ts";
import { plasma } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

/** Tricks to write, or to change, something in the folder `OUT` that lies beside the target. */
const tricks: Record<string, string> = {
  "..": 'add("../outside/evil")',
  ".. in the middle": 'folder("a"); add("a/../../outside/evil")',
  "absolute name": 'add("OUT/evil")',
  "absolute name with more slashes": 'add("//OUT/evil")',
  "link up": 'symlink("l", "../outside"); add("l/evil")',
  "absolute link": 'symlink("l", "OUT"); add("l/evil")',
  "link to a file": 'symlink("l", "../outside/precious"); add("l")',
  "link, then again as a folder": 'symlink("l", "OUT"); folder("l"); add("l/evil")',
  "folder that becomes a link": 'folder("l"); symlink("l", "OUT"); add("l/evil")',
  "two links": 'symlink("a", "."); symlink("a/b", ".."); add("a/b/outside/evil")',
  "link through a link": 'symlink("a", "b"); symlink("b", "OUT"); add("a/evil")',
  "dots through a folder": 'folder("d"); symlink("l", "d/../.."); add("l/outside/evil")',
  "hard link to a file outside": 'hardlink("h", "OUT/precious"); add("h")',
  "hard link up": 'hardlink("h", "../outside/precious"); add("h")',
  "hard link to a link": 'symlink("l", "OUT/precious"); hardlink("h", "l"); add("h")',
  "hard link to a link to a folder": 'symlink("l", "OUT"); hardlink("h", "l"); add("h/evil")',
  "link under a name too long for the kernel, made of dots":
    'symlink("l", "OUT"); add("l/" + "./" * 2500 + "evil")',
  "the same, the link last": 'add("l/" + "./" * 2500 + "evil"); symlink("l", "OUT")',
  "link deep down, after a name that is too long":
    'd = "/".join(["d" * 250] * 15); [folder(d[:251 * n - 1]) for n in range(1, 16)]; ' +
    'add(d + "/l/" + "/".join(["n" * 250] * 3) + "/evil"); symlink(d + "/l", "OUT")',
  "mode through a link": 'symlink("l", "OUT/precious"); hardlink("l2", "l"); folder("l2")',
};

/** Links that the first pass leaves where the next one has to go down to a long name. */
const deepTricks: Record<string, string> = {
  "a folder on the way to a long name becomes a link up":
    'd = ["d" * 250] * 14; [folder("/".join(d[:n])) for n in range(1, 15)]; ' +
    'p = "/".join(d); add(p + "/" + "/".join(["n" * 250] * 3) + "/evil"); ' +
    'symlink(p, "../" * 14 + "outside")',
  "a folder on the way to a long name becomes a link to one that leads out":
    'd = ["d" * 250] * 14; [folder("/".join(d[:n])) for n in range(1, 15)]; ' +
    'p = "/".join(d); add(p + "/" + "/".join(["n" * 250] * 3) + "/evil"); ' +
    'symlink("/".join(d[:13]) + "/out", "../" * 14 + "outside"); symlink(p, "out")',
};

/** Where root can and cannot make a mount namespace, and as somebody else. */
const ways: Record<string, readonly string[]> = {
  "": [],
  " (no namespace)": ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"],
  " (not root)": ["unshare", "--user", "--map-user=65534", "--map-group=65534"],
};

for (const [way, through] of Object.entries(ways)) {
  for (const [name, lines] of Object.entries(tricks)) {
    testThatNeeds(
      ["root", "program python3"],
      `writes nothing outside: ${name}${way} (row 44)`,
      async () => {
        using site = new HostileSite();
        await site.put(1, `add("good", content=b"good"); ${lines}`);
        await site.restoreInto(site.target, ["latest"], { through });
        site.assertUntouched();
        assertEquals(Deno.readTextFileSync(`${site.target}/good`), "good", "tar has run");
        if (way !== "") return;
        await site.restore("latest", "--into-existing");
        site.assertUntouched();
      },
    );
  }
}

for (const [way, through] of Object.entries(ways)) {
  for (const [name, lines] of Object.entries(deepTricks)) {
    testThatNeeds(["root", "program python3"], `row 81: ${name}${way}`, async () => {
      using site = new HostileSite();
      await site.put(1, `add("good", content=b"good"); ${lines}`);
      const { code, stderr } = await site.restoreInto(site.target, ["latest"], { through });
      site.assertUntouched();
      assertEquals(code, 1, stderr);
      assertEquals(Deno.readTextFileSync(`${site.target}/good`), "good", "tar has run");
    });
  }
}

/** A tree whose path is too long for the kernel; `deep(letter)` makes it and is its path. */
const deepTree = `
def deep(letter, count=18):
    for n in range(1, count + 1): folder("/".join([letter * 250] * n))
    return "/".join([letter * 250] * count)
`;

testThatNeeds(
  ["program python3"],
  "row 44: what is missing beside names that are too long for a path is not forgotten",
  async () => {
    for (
      const lines of [
        'add(deep("d") + "/f"); add("x" * 300)', // no filesystem takes it
        'add(deep("d") + "/f"); symlink("s", "x" * 5000)',
        'add(deep("d") + "/f"); hardlink("h", deep("d") + "/f")',
        // Missing in a folder on the way, where there is a folder further down.
        'd = deep("d", 30); add("/".join(d.split("/")[:14]) + "/" + "x" * 300); add(d + "/f")',
      ]
    ) {
      using site = new HostileSite();
      await site.put(1, `${deepTree}\nadd("good"); ${lines}`);
      const { code, lastLine } = await site.restore();
      assertEquals(code, 1, lines);
      assertStringIncludes(lastLine, "File name too long");
      await sh("rm", "-rf", site.target);
    }
    using site = new HostileSite();
    await site.put(1, `${deepTree}\nadd("good"); add(deep("d", 30) + "/f"); deep("e", 16)`);
    const { code, stderr } = await site.restore();
    assertEquals(code, 0, stderr);
    await sh("rm", "-rf", site.target);
  },
);

/** Two trees that differ in their upper folder only; both have a file `f`. */
const twins = `
def tree(top, content):
    parts = [top, ODD] + ["d" * 250] * 18
    for n in range(1, len(parts) + 1): folder("/".join(parts[:n]))
    add("/".join(parts) + "/f", content=content)
    return "/".join(parts)
a, b = tree("a", b"right"), tree("b", b"wrong")
`;

/** Prints the file `h` of the second tree, if there is one. */
const readLink = `
import os, sys
os.chdir(sys.argv[1])
for name in ["b", sys.argv[2]] + ["d" * 250] * 18: os.chdir(name)
print(open("h").read() if os.path.exists("h") else "none")
`;

testThatNeeds(
  ["program python3"],
  "row 44: a hard link too deep for the kernel is made to its own file or to none",
  async () => {
    for (const odd of ["d", "a.*[b]^$,\\1;&\\n%s\n ü"]) {
      for (const [from, code, content] of [["b", 0, "wrong"], ["a", 1, "none"]] as const) {
        using site = new HostileSite();
        const lines = twins.replace("ODD", JSON.stringify(odd));
        await site.put(1, `${lines}\nhardlink(b + "/h", ${from} + "/f")`);
        const restored = await site.restore();
        assertEquals(restored.code, code, restored.stderr);
        const found = await sh("python3", "-c", readLink, `${site.target}`, odd);
        assertEquals(found.trim(), content);
        await sh("rm", "-rf", site.target);
      }
    }
  },
);

testThatNeeds(["program python3"], "row 91: a name of 10 MB is refused, and no more", async () => {
  using site = new HostileSite();
  await site.put(1, 'add("good"); add("/".join(["x" * 250] * 40_000))');
  const { code, lastLine } = await site.restore();
  assertEquals(code, 1, lastLine);
  assertStringIncludes(lastLine, "File name too long; restore into a new folder, or by hand");
});

testThatNeeds(["program python3"], "links that an earlier restore left lead nowhere", async () => {
  for (const link of ["OUT", "../outside", "d/../../outside", "m/x"]) {
    using site = new HostileSite();
    await site.put(1, `symlink("l", "${link}"); symlink("m", "d/../..")`);
    await site.put(2, 'folder("d"); add("l/evil"); add("m/outside/evil")');
    assertEquals((await site.restore("20250101")).code, 0);
    await site.restore("20250102", "--into-existing");
    site.assertUntouched();
  }
});

testThatNeeds(["program python3"], "a link in the target that leads out is refused", async () => {
  using site = new HostileSite();
  await site.put(1, 'add("below/l/evil")');
  Deno.mkdirSync(`${site.target}/below`, { recursive: true });
  Deno.symlinkSync(site.outside, `${site.target}/below/l`);
  const { code, lastLine } = await site.restore("latest", "--into-existing");
  assertEquals(code, 2);
  assertStringIncludes(lastLine, "below/l");
  site.assertUntouched();
});

/** Ways to damage an archive of some 100 KB. */
const damages: Record<string, (path: string) => void> = {
  "a byte of a name": (path) => flip(path, 30),
  "a byte in the middle": (path) => flip(path, Math.floor(Deno.statSync(path).size / 2)),
  "the last byte": (path) => flip(path, -1),
  "a byte less": (path) => Deno.truncateSync(path, Deno.statSync(path).size - 1),
  "half of it": (path) => Deno.truncateSync(path, Math.floor(Deno.statSync(path).size / 2)),
  "a byte more": (path) => Deno.writeFileSync(path, new Uint8Array([0]), { append: true }),
  "a block more": (path) => Deno.writeFileSync(path, new Uint8Array(10240), { append: true }),
};

const needs = ["program age", "program zstd"] as const;

testThatNeeds(
  needs,
  "an archive that is not what was stored is never restored as good (row 44)",
  async () => {
    using folder = new TemporaryFolder();
    await using sshd = await Sshd.start();
    const key = await newKey(folder);
    const noise = crypto.getRandomValues(new Uint8Array(60_000));
    folder.write("data/noise", noise);
    let count = 0;
    for (const flags of [[], ["--compression", "zstd"], ["--recipient", key.recipient]]) {
      const storage = folder.storage(`storage${flags.length}${flags[0] ?? ""}`);
      const name = await backUp([storage], ...flags, folder.at("data"));
      const good = Deno.readFileSync(`${storage}/${name}`);
      for (const [what, damage] of Object.entries(damages)) {
        Deno.writeFileSync(`${storage}/${name}`, good);
        damage(`${storage}/${name}`);
        // Over SSH as well, now and then: that takes longer.
        const from = count % 7 === 0 ? sshd.destination(storage) : [storage];
        const target = folder.at(`target${count++}`);
        const identity = flags[0] === "--recipient" ? ["--identity", key.file] : [];
        const args = ["restore", "latest", "--from", ...from, ...identity, "--target", target];
        const { code, lastLine, stderr } = await plasma(args);
        assertEquals(code, 1, `${name}, ${what}: ${stderr}`);
        assertStringIncludes(lastLine, name, what);
        assertStringIncludes(lastLine, "trust none", what);
      }
    }
    assert(count === 21);
  },
);

Deno.test("an archive cut short that has no checksum is a failure too", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("data/noise", crypto.getRandomValues(new Uint8Array(60_000)));
  for (const flags of [[], ["--compression", "gzip"], ["--compression", "zstd"]]) {
    const name = await backUp([storage], ...flags, folder.at("data"));
    Deno.removeSync(`${storage}/${name}.sha256`);
    // In the middle of a file, and where only the end of the archive is missing.
    const { size } = Deno.statSync(`${storage}/${name}`);
    for (const bytes of [size - 40_000, size - (size % 512) - 20 * 512]) {
      Deno.truncateSync(`${storage}/${name}`, bytes);
      await sh("rm", "-rf", folder.at("target"));
      const args = ["restore", name, "--from", storage, "--target", folder.at("target")];
      const { code, stderr } = await plasma(args);
      assertEquals(code, 1, `${name}: ${stderr}`);
    }
  }
});
