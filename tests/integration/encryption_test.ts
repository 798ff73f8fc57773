import { assertEquals, assertStringIncludes } from "@std/assert";
import { backUp, newKey } from "../support/archives.ts";
import { namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

const needs = ["program age", "program ssh-keygen"] as const;

class Encrypted implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly storage = this.folder.storage("storage");
  readonly target = this.folder.at("target");

  constructor() {
    this.folder.write("data/file", "secret words");
  }

  /** Restore the latest archive; the content that came back. */
  async restore(...flags: string[]) {
    const args = ["restore", "latest", "--from", this.storage, "--target", this.target, ...flags];
    const result = await plasma(args);
    const path = `${this.target}${this.folder.at("data/file")}`;
    const content = result.code === 0 ? Deno.readTextFileSync(path) : undefined;
    return { ...result, content };
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

testThatNeeds(needs, "each of several recipients can read, from flags or a file", async () => {
  using site = new Encrypted();
  const { folder, storage } = site;
  const [a, b] = [await newKey(folder, "a"), await newKey(folder, "b")];
  await sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder.at("ssh"));
  const ssh = Deno.readTextFileSync(folder.at("ssh.pub")).trim();
  const file = folder.write("recipients", `# the keys\n${a.recipient}\n${b.recipient}\n${ssh}\n`);
  const config = writeConfig(folder, storage, { encryption: { recipientsFile: file } });
  const byFile = await plasma(["backup", "--config", config]);
  assertEquals(byFile.code, 0, byFile.stderr);
  const keys = [a.recipient, b.recipient, ssh].flatMap((key) => ["--recipient", key]);
  await backUp([storage], ...keys, folder.at("data"));
  const names = namesIn(storage).filter((name) => name.endsWith(".tar.age"));
  assertEquals(names.length, 2);
  for (const name of names) {
    for (const identity of ["a", "b", "ssh"]) {
      const target = folder.at(`restored-${name}-${identity}`);
      const flags = ["--target", target, "--identity", folder.at(identity)];
      const { code, stderr } = await plasma(["restore", name, "--from", storage, ...flags]);
      assertEquals(code, 0, stderr);
      const text = Deno.readTextFileSync(`${target}${folder.at("data/file")}`);
      assertEquals(text, "secret words");
    }
  }
});

testThatNeeds(needs, "the words are not in the archive, nor the secret key near it", async () => {
  using site = new Encrypted();
  const { recipient, file } = await newKey(site.folder);
  const name = await backUp([site.storage], "--recipient", recipient, site.folder.at("data"));
  const stored = new TextDecoder("latin1").decode(Deno.readFileSync(`${site.storage}/${name}`));
  assertEquals(stored.startsWith("age-encryption.org/v1"), true);
  assertEquals([stored.includes("secret words"), stored.includes("data/file")], [false, false]);
  assertEquals((await site.restore("--identity", file)).content, "secret words");
});

testThatNeeds(needs, "the wrong key and no key fail, and unpack nothing (row 44)", async () => {
  using site = new Encrypted();
  const [right, wrong] = [await newKey(site.folder), await newKey(site.folder, "wrong")];
  await backUp([site.storage], "--recipient", right.recipient, site.folder.at("data"));

  const none = await site.restore();
  assertEquals([none.code, namesIn(site.target)], [2, []]);
  assertStringIncludes(none.lastLine, "--identity");

  const bad = await site.restore("--identity", wrong.file);
  assertEquals([bad.code, namesIn(site.target)], [1, []], bad.stderr);
  assertStringIncludes(bad.lastLine, "no identity matched");

  const missing = await site.restore("--identity", site.folder.at("nowhere"));
  assertEquals([missing.code, namesIn(site.target)], [1, []], missing.stderr);
  assertStringIncludes(missing.lastLine, "nowhere");

  const deep = ["verify", "--deep", "--from", site.storage, "--identity", wrong.file];
  assertEquals((await plasma(deep)).code, 1);
});

testThatNeeds(needs, "a wrong recipient is refused before anything is stored", async () => {
  using site = new Encrypted();
  for (const recipient of ["age1wrong", "ssh-ed25519 wrong", "", "-", "nobody"]) {
    const args = ["backup", "--to", site.storage, `--recipient=${recipient}`];
    const { code, lastLine } = await plasma([...args, site.folder.at("data")]);
    assertEquals(code, 2, `"${recipient}": ${lastLine}`);
  }
  assertEquals(namesIn(site.storage).filter((name) => name.includes(".tar")), []);
});
