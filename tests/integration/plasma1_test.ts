import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma, plasmaProgram } from "../support/plasma.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { Sshd } from "../support/sshd.ts";
import { membersOf } from "../support/storage.ts";

/** The example config of Plasma 1.0, comments and all that its admins put into it. */
function exampleConfig({ tempfile, ssh, remoteFolder }: Record<string, unknown>): string {
  return `{
  "folders": ["/bin", "/etc"],
  "tempfile": ${JSON.stringify(tempfile)},
  "strategy": "tar",
  "options": {},
  "ssh": ${JSON.stringify(ssh)},
  "remoteFolder": ${JSON.stringify(remoteFolder)},
  "executeBefore": ["df -h"],
  "executeAfter": [
    "echo THIS WAS A TRIUMPH",
    "echo I AM MAKING A NOTE HERE: HUGE SUCCESS",
  ], // the cake is a lie
}`;
}

Deno.test("the example config of Plasma 1.0 does over SSH what it did", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const storage = folder.storage("storage");
  const tempfile = folder.at("backup.tar");
  const config = folder.write(
    "agent.json",
    exampleConfig({ tempfile, ssh: sshd.settings, remoteFolder: storage }),
  );
  for (const name of ["20200101-0000-monthly.tar", "20200102-0000-daily.tar"]) {
    folder.write(`storage/${name}`, "an archive that Plasma 1.0 has left");
  }
  for (let day = 10; day < 16; day++) folder.write(`storage/202001${day}-0000-daily.tar`, "x");

  const { code, stdout, stderr } = await plasma(["--config", config], { calledAs: "plasma-agent" });
  assertEquals(code, 0, stderr);
  const name = stdout.trimEnd();
  assertMatch(name, /^\d{8}-\d{4}-(daily|weekly|monthly)\.tar$/);
  const words = [
    "Filesystem",
    "stored",
    "THIS WAS A TRIUMPH",
    "I AM MAKING A NOTE HERE: HUGE SUCCESS",
  ];
  const places = words.map((word) => stderr.indexOf(word));
  assertEquals(places.includes(-1), false, stderr);
  assertEquals(places, places.toSorted((a, b) => a - b), stderr);

  assertEquals(namesIn(folder.path).includes("backup.tar"), false);
  const members = await membersOf(`${storage}/${name}`);
  assertEquals(members.includes("etc/passwd"), true);
  assertEquals(members.some((member) => /^bin(\/|$)/.test(member)), true);
  assertEquals(members.filter((member) => !/^(bin|etc)(\/|$)/.test(member)), []);
  // Its rotation: five daily ones of the seven that there were are left.
  const old = archivesIn(storage).filter((archive) => archive !== name);
  assertEquals(old.includes("20200101-0000-monthly.tar"), true);
  assertEquals(old.includes("20200102-0000-daily.tar"), false);
});

Deno.test("what old agents copy here counts, and plasma-rotate rotates it", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 2, weekly: 1, monthly: 1 });
  const names = ["20200101-0000-monthly", "20200106-0000-weekly", "20200107-0000-daily"];
  names.push("20200108-0000-daily", "20200109-0000-daily");
  for (const name of names) folder.write(`storage/${name}.tar`, name);
  const list = await plasma(["list", "--from", storage]);
  assertEquals(list.stdout.match(/no checksum$/gm)?.length, 5);

  const { code, stdout, stderr } = await plasma([storage], { calledAs: "plasma-rotate" });
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^delete +20200107-0000-daily\.tar +more than 2 daily$/m);
  assertMatch(stdout, /^keep +20200101-0000-monthly\.tar +monthly 1 of 1$/m);
  assertEquals(archivesIn(storage), names.filter((_, index) => index !== 2).map((n) => `${n}.tar`));
});

Deno.test("an old agent's scp and its plasma-rotate over ssh work with a new storage host", async () => {
  using folder = new TemporaryFolder();
  await using sshd = await Sshd.start();
  const { login, port, identityFile, knownHostsFile } = sshd.settings;
  const storage = folder.storage("storage", { daily: 1, weekly: 1, monthly: 1 });
  folder.write("storage/20200107-0000-daily.tar", "an older one");
  const options = ["-o", "BatchMode=yes", "-o", `UserKnownHostsFile=${knownHostsFile}`];
  const archive = folder.write("backup.tar", "what scp brings");
  const target = `${login}@127.0.0.1:${storage}/20200108-0000-daily.tar`;
  await sh("scp", "-O", "-q", ...options, "-i", identityFile, "-P", `${port}`, archive, target);

  const link = folder.at("plasma-rotate");
  Deno.symlinkSync(plasmaProgram, link);
  const where = ["-i", identityFile, "-p", `${port}`, `${login}@127.0.0.1`];
  const words = await sh("ssh", ...options, ...where, link, storage);
  assertStringIncludes(words, "delete  20200107-0000-daily.tar");
  assertEquals(archivesIn(storage), ["20200108-0000-daily.tar"]);
});

const places = ["plasma-agent.jsonc", "plasma-agent.json", "plasma-agent.conf"];

/** A command line that gives a program an /etc of its own, in which it finds these files too. */
function withOwnEtc(folder: TemporaryFolder, files: Record<string, string>): string[] {
  for (const [name, text] of Object.entries(files)) folder.write(`upper/${name}`, text);
  for (const name of ["upper", "work"]) Deno.mkdirSync(folder.at(name), { recursive: true });
  const layers = `lowerdir=/etc,upperdir=${folder.at("upper")},workdir=${folder.at("work")}`;
  const remove = places.filter((place) => !Object.hasOwn(files, place)).map((name) =>
    `/etc/${name}`
  );
  const script = `mount -t overlay -o ${layers} own-etc /etc && rm -f ${remove.join(" ")}`;
  return ["unshare", "--mount", "sh", "-c", `${script} && exec "$@"`, "sh"];
}

for (const [index, place] of places.entries()) {
  testThatNeeds(["root", "program unshare"], `the config is found in /etc/${place}`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const files = places.slice(index).map((name) => {
      const remoteFolder = folder.storage(`storage for ${name}`);
      return [
        name,
        JSON.stringify({ folders: [folder.at("data")], strategy: "tar", remoteFolder }),
      ];
    });
    const { code, stderr } = await plasma([], {
      calledAs: "plasma-agent",
      through: withOwnEtc(folder, Object.fromEntries(files)),
    });
    assertEquals(code, 0, stderr);
    assertEquals(archivesIn(folder.at(`storage for ${place}`)).length, 1);
    for (const later of places.slice(index + 1)) {
      assertEquals(archivesIn(folder.at(`storage for ${later}`)), []);
    }
  });
}

testThatNeeds(["root", "program unshare"], "without any config its places are named", async () => {
  using folder = new TemporaryFolder();
  const { code, lastLine } = await plasma(["backup"], { through: withOwnEtc(folder, {}) });
  assertEquals(code, 2);
  for (const place of places) assertStringIncludes(lastLine, `/etc/${place}`);
});
