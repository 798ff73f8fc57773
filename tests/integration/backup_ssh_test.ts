import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { Sshd } from "../support/sshd.ts";

Deno.test("backup over SSH stores an archive that the storage host lists", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");

  const backup = await plasma(["backup", "--to", ...sshd.destination(storage), folder.at("data")]);
  assertEquals(backup.code, 0, backup.stderr);
  const [name] = archivesIn(storage);
  assertEquals(backup.stdout, `${name}\n`);
  assertEquals(namesIn(`${storage}/.plasma/incoming`), []);

  const [destination, ...flags] = sshd.destination(storage);
  const list = await plasma(["list", "--from", destination, ...flags]);
  assertEquals(list.code, 0, list.stderr);
  assertMatch(list.stdout, new RegExp(`^${name} .* complete\n$`));
});
