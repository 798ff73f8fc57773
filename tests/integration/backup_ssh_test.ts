import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { writeConfig } from "../support/runs.ts";
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

Deno.test("a session that was opened ahead of its use may be lost", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const waiting = `'^[^ ]*ssh .*-p ${sshd.settings.port} .* serve'`;
  const config = writeConfig(folder, storage, {
    ssh: sshd.settings,
    retries: 0,
    executeBefore: [
      `for try in $(seq 100); do pgrep -f ${waiting} && break; sleep 0.1; done`,
      `pkill -KILL -f ${waiting}`,
      "sleep 0.2",
    ],
  });
  const { code, stderr } = await plasma(["backup", "--config", config]);
  assertEquals([code, archivesIn(storage).length], [0, 1], stderr);
});

Deno.test("a storage folder of any name is taken literally over SSH too (row 4)", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  folder.write("data/file", "content");
  for (
    const name of ["a'b\"c", "$(touch executed)", "`touch executed`;touch executed", " $HOME *"]
  ) {
    const storage = folder.storage(name);
    const config = writeConfig(folder, storage, { ssh: sshd.settings });
    const { code, stderr } = await plasma(["backup", "--config", config], {
      currentFolder: folder.path,
    });
    assertEquals([code, archivesIn(storage).length], [0, 1], stderr);
  }
  assertEquals(namesIn(folder.path).includes("executed"), false);
  // The commands of the storage host would be run in the home of its login.
  assertEquals(namesIn(Deno.env.get("HOME") ?? "/").includes("executed"), false);
});
