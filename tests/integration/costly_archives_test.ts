import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { newKey, writeSidecar } from "../support/archives.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { measuringMemory } from "../support/processes.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

/** A tar header of the type "x", of so many bytes: GNU tar wants all of it in memory. */
const giantHeader = `
import sys
size = int(sys.argv[1])
header = bytearray(b"PaxHeader".ljust(100, b"\\0") + b"0000644\\0" + b"0000000\\0" * 2
  + b"%011o\\0" % size + b"00000000000\\0" + b"        " + b"x" + b"\\0" * 100 + b"ustar\\0" + b"00")
header = header.ljust(512, b"\\0")
header[148:156] = b"%06o\\0 " % sum(header)
out = sys.stdout.buffer
out.write(header)
for _ in range(size >> 20): out.write(b"\\0" * (1 << 20))
out.write(b"\\0" * 1024)`;

/** What costs much more to read than it costs to store, with what makes it. */
const archives: readonly (readonly [what: string, kind: string, script: string, limit: RegExp])[] =
  [
    [
      "a header of 1 GiB",
      "tar.zst",
      `python3 -c "$0" ${1 << 30} | zstd --quiet`,
      /takes more than the 512 MiB of memory/,
    ],
    [
      "a header of 1 GiB, with xz",
      "tar.xz",
      `python3 -c "$0" ${1 << 30} | xz -0 -T0`,
      /takes more than the 512 MiB of memory/,
    ],
    [
      "a window of 1 GiB",
      "tar.zst",
      "tar --create --file=- /etc/hostname | zstd --quiet --ultra --long=30",
      /takes more than the 1024 MiB of memory/,
    ],
    [
      "a dictionary of 1 GiB",
      "tar.xz",
      "tar --create --file=- /etc/hostname | xz --lzma2=preset=0,dict=1GiB",
      /takes more than the 1024 MiB of memory/,
    ],
  ];

/** Store what a script prints as an archive, and its checksum. */
async function store(storage: string, kind: string, script: string): Promise<string> {
  const name = `20250301-0000-daily.${kind}`;
  await sh("sh", "-c", `(${script}) >"$1"`, giantHeader, `${storage}/${name}`);
  await writeSidecar(storage, name);
  return name;
}

const needs = ["program zstd", "program xz", "program python3"] as const;

testThatNeeds(
  needs,
  "row 91: what takes too much memory to read is reported, and does not get it",
  async () => {
    for (const [what, kind, script, limit] of archives) {
      using folder = new TemporaryFolder();
      const storage = folder.storage("storage");
      const name = await store(storage, kind, script);
      assert(Deno.statSync(`${storage}/${name}`).size < 1 << 20, what);
      const { code, stdout, stderr } = await plasma(
        ["verify", "--deep", "--json", "--from", storage],
        { through: measuringMemory },
      );
      const [{ state, detail }] = JSON.parse(stdout);
      assertEquals([code, state], [1, "unreadable"], `${what}: ${detail}`);
      assert(limit.test(detail), `${what}: ${detail}`);
      assertStringIncludes(detail, "it may have been made to do harm");
      const kilobytes = Number(stderr.trimEnd().split("\n").at(-1));
      assert(kilobytes > 10_000 && kilobytes < 600_000, `${what}: ${kilobytes} KiB`);
    }
  },
);

testThatNeeds(
  needs,
  "row 91: a storage host and a restore have the limits of memory too",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const [, kind, script] = archives[2]!;
    await store(storage, kind, script);
    await using sshd = await Sshd.start();
    const far = ["--from", ...sshd.destination(storage)];
    const verified = await plasma(["verify", "--deep", "--json", ...far]);
    assertEquals([verified.code, JSON.parse(verified.stdout)[0].state], [1, "unreadable"]);
    const restored = await plasma(["restore", "latest", "--target", folder.at("target"), ...far]);
    assertEquals(restored.code, 1);
    assertStringIncludes(restored.lastLine, "it may have been made to do harm");
  },
);

testThatNeeds(
  needs,
  "row 91: to list an archive, or to restore one that is not trusted, has a limit of memory",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const [, kind, script] = archives[0]!;
    await store(storage, kind, script);
    for (const flag of ["--dry-run", "--untrusted"]) {
      const { code, stderr } = await plasma(
        ["restore", "latest", "--target", folder.at("target"), "--from", storage, flag],
        { through: measuringMemory },
      );
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, "it may have been made to do harm");
      const kilobytes = Number(stderr.trimEnd().split("\n").at(-1));
      assert(kilobytes > 10_000 && kilobytes < 1_000_000, `${flag}: ${kilobytes} KiB`);
    }
  },
);

testThatNeeds(needs, "row 91: what takes too long to read is reported, and given up", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  // Zstandard reads frames one after the other: 400 GB of zeros, in some megabytes.
  const frames =
    'head -c 1G /dev/zero | zstd --quiet >"$1.one"; for i in $(seq 400); do cat "$1.one"; done';
  await store(storage, "tar.zst", frames);
  const start = Date.now();
  const { code, stdout } = await plasma(
    ["verify", "--deep", "--timeout", "2s", "--json", "--from", storage],
  );
  const [{ state, detail }] = JSON.parse(stdout);
  assertEquals([code, state], [1, "unreadable"]);
  assertStringIncludes(detail, "takes more than the 2 s that are allowed");
  assert(Date.now() - start < 20_000);
});

testThatNeeds(
  [...needs, "program age"],
  "row 91: where an encrypted archive is read through there are limits too",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    const { recipient, file } = await newKey(folder);
    const [, , script] = archives[0]!;
    await store(storage, "tar.zst.age", `${script} | age --encrypt --recipient ${recipient}`);
    const { code, stdout } = await plasma(
      ["verify", "--deep", "--json", "--identity", file, "--from", storage],
    );
    assertEquals([code, JSON.parse(stdout)[0].state], [1, "unreadable"], stdout);
  },
);

testThatNeeds(needs, "what all compressions of ours make is within the limits", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 9 });
  folder.write("data/file", new Uint8Array(20 << 20).map((_, index) => (index * index) >> 13));
  for (const flags of [["zstd", "22"], ["xz", "9"]]) {
    const [type, level] = flags as [string, string];
    const config = folder.write(
      "agent.json",
      JSON.stringify({
        strategy: "tar",
        folders: [folder.at("data")],
        remoteFolder: storage,
        compression: { type, level: Number(level) },
      }),
    );
    const made = await plasma(["backup", "--config", config]);
    assertEquals(made.code, 0, made.stderr);
    const { code, stdout } = await plasma(["verify", "--deep", "--from", storage]);
    assertEquals(code, 0, stdout);
  }
});
