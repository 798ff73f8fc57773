import { assertEquals, assertStringIncludes } from "@std/assert";
import { backUp, flip, newKey, writeSidecar } from "../support/archives.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";

/** Verify, and return the states by name with the exit status. */
async function verify(from: readonly string[], ...args: string[]) {
  const { code, stdout, stderr } = await plasma(["verify", "--json", "--from", ...from, ...args]);
  const verdicts: { name: string; state: string; detail: string }[] = JSON.parse(stdout);
  const states = Object.fromEntries(verdicts.map(({ name, state }) => [name, state]));
  return { code, states, stderr, verdicts };
}

/** The events of verification in the journal, "NAME STATE" each. */
function journal(storage: string): string[] {
  const lines = Deno.readTextFileSync(`${storage}/.plasma/journal.jsonl`).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line)).filter(({ event }) => event === "verified")
    .map(({ archive, state }) => `${archive} ${state}`);
}

/** A storage folder with archives of these days in 2025, the same tar in each. */
async function withDays(folder: TemporaryFolder, days: readonly string[], ...flags: string[]) {
  const storage = folder.storage("storage");
  folder.write("data/file", crypto.getRandomValues(new Uint8Array(50_000)));
  const made = await backUp([storage], ...flags, folder.at("data"));
  const names = days.map((day) => made.replace(/^[\d-]+-[a-z]+/, `${day}-0000-daily`));
  for (const name of names) {
    Deno.copyFileSync(`${storage}/${made}`, `${storage}/${name}`);
    await writeSidecar(storage, name);
  }
  Deno.removeSync(`${storage}/${made}`);
  Deno.removeSync(`${storage}/${made}.sha256`);
  return { storage, names };
}

const days = ["20250301", "20250302", "20250303", "20250304"];

for (const way of ["local", "ssh"] as const) {
  Deno.test(`each kind of damage is found and named, and noted in the journal: ${way} (row 43)`, async () => {
    using folder = new TemporaryFolder();
    await using sshd = way === "ssh" ? await Sshd.start() : undefined;
    const { storage, names } = await withDays(folder, [
      ...days,
      "20250305",
      "20250306",
      "20250307",
    ]);
    const from = sshd?.destination(storage) ?? [storage];
    const [good, flipped, cut, longer, bare, one, other] = names as [string, ...string[]];
    const path = (name: string | undefined) => `${storage}/${name}`;
    flip(path(flipped), 25_000);
    Deno.truncateSync(path(cut), 25_000);
    Deno.writeFileSync(path(longer), new Uint8Array(1), { append: true });
    Deno.removeSync(`${path(bare)}.sha256`);
    // Two archives whose content was swapped: then each differs from its sidecar.
    flip(path(other), 25_000);
    await writeSidecar(storage, other!);
    Deno.renameSync(path(one), path("swap"));
    Deno.renameSync(path(other), path(one));
    Deno.renameSync(path("swap"), path(other));

    const states = {
      [good]: "ok",
      [flipped!]: "damaged",
      [cut!]: "damaged",
      [longer!]: "damaged",
      [bare!]: "no checksum",
      [one!]: "damaged",
      [other!]: "damaged",
    };
    for (const deep of [[], ["--deep"]]) {
      const found = await verify(from, "--all", ...deep);
      assertEquals([found.code, found.states], [1, states], found.stderr);
      for (const name of names.slice(1)) assertStringIncludes(found.stderr, name);
      assertEquals(found.stderr.includes(good), false);
    }
    const entries = Object.entries(states).map(([name, state]) => `${name} ${state}`);
    assertEquals(journal(storage), [...entries, ...entries]);
    assertEquals((await verify(from, good)).code, 0);
    assertEquals((await verify(from, "20250301", "20250302")).states, {
      [good]: "ok",
      [flipped!]: "damaged",
    });
  });
}

Deno.test("sidecars that were swapped are not taken for each other's (row 43)", async () => {
  using folder = new TemporaryFolder();
  const { storage, names: [a, b] } = await withDays(folder, days.slice(0, 2));
  Deno.renameSync(`${storage}/${a}.sha256`, `${storage}/swap`);
  Deno.renameSync(`${storage}/${b}.sha256`, `${storage}/${a}.sha256`);
  Deno.renameSync(`${storage}/swap`, `${storage}/${b}.sha256`);
  const { code, states } = await verify([storage], "--all");
  assertEquals([code, states], [1, { [a!]: "damaged", [b!]: "damaged" }]);
});

Deno.test("without a name it is the latest one; of an empty folder it is nothing", async () => {
  using folder = new TemporaryFolder();
  const { storage, names } = await withDays(folder, days);
  const { code, states } = await verify([storage]);
  assertEquals([code, states], [0, { [names.at(-1)!]: "ok" }]);
  const none = await verify([folder.storage("empty")]);
  assertEquals([none.code, none.verdicts], [0, []]);
});

Deno.test("samples come round to each archive", async () => {
  using folder = new TemporaryFolder();
  const { storage, names } = await withDays(folder, days);
  const seen = new Set<string>();
  for (const _ of names) {
    const { code, states } = await verify([storage], "--sample", "25%");
    assertEquals([code, Object.keys(states).length], [0, 1]);
    seen.add(Object.keys(states)[0]!);
  }
  assertEquals([...seen].sort(), names);
  assertEquals(Object.keys((await verify([storage], "--sample=1%")).states).length, 1);
  assertEquals((await verify([storage], "--sample", "100%")).verdicts.length, names.length);
});

Deno.test("a command line that makes no sense is refused", async () => {
  using folder = new TemporaryFolder();
  const { storage } = await withDays(folder, days.slice(0, 1));
  const wrong = [
    ["--sample", "0%"],
    ["--sample", "101%"],
    ["--sample", "5"],
    ["--all", "latest"],
    ["--all", "--sample", "5%"],
    ["20250101"],
    ["--depp"],
  ];
  for (const args of wrong) {
    const { code, stdout } = await plasma(["verify", "--from", storage, ...args]);
    assertEquals([code, stdout], [2, ""], args.join(" "));
  }
});

testThatNeeds(["program zstd"], "--deep finds what was damaged before it was stored", async () => {
  using folder = new TemporaryFolder();
  for (const flags of [[], ["--compression", "zstd"], ["--compression", "gzip"]]) {
    const { storage, names: [whole, cut, garbage] } = await withDays(
      folder,
      days.slice(0, 3),
      ...flags,
    );
    Deno.truncateSync(`${storage}/${cut}`, 25_000);
    flip(`${storage}/${garbage}`, flags.length === 0 ? 300 : -3);
    for (const name of [cut!, garbage!]) await writeSidecar(storage, name);
    const shallow = await verify([storage], "--all");
    assertEquals(shallow.code, 0, "the sidecars are as they should be");
    const { code, states } = await verify([storage], "--all", "--deep");
    assertEquals([code, states[whole!], states[cut!]], [1, "ok", "damaged"]);
    // A flip in a header of a tar breaks its checksum; in a compressed one the stream.
    assertEquals(states[garbage!], "damaged", flags.join());
    Deno.removeSync(storage, { recursive: true });
  }
});

const needsAge = ["program age"] as const;

for (const way of ["local", "ssh"] as const) {
  testThatNeeds(needsAge, `encrypted archives are read through with the key: ${way}`, async () => {
    using folder = new TemporaryFolder();
    await using sshd = way === "ssh" ? await Sshd.start() : undefined;
    const { recipient, file } = await newKey(folder);
    const flags = ["--recipient", recipient];
    const { storage, names } = await withDays(folder, days.slice(0, 3), ...flags);
    const [good, damaged, bare] = names as [string, string, string];
    const from = sshd?.destination(storage) ?? [storage];
    flip(`${storage}/${damaged}`, -1);
    Deno.removeSync(`${storage}/${bare}.sha256`);
    const states = { [good]: "ok", [damaged]: "damaged", [bare]: "no checksum" };
    const without = await verify(from, "--all", "--deep");
    assertEquals([without.code, without.states], [1, states]);
    assertStringIncludes(without.verdicts[0]!.detail, "--identity");
    const entries = Object.entries(states).map(([name, state]) => `${name} ${state}`);
    assertEquals(journal(storage), entries);
    const withKey = await verify(from, "--all", "--deep", "--identity", file);
    assertEquals([withKey.code, withKey.states], [1, states]);
    assertStringIncludes(withKey.verdicts[0]!.detail, "read through");
  });
}
