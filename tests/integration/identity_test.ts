import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { Machine, type MachineTraits } from "../support/machine.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { assertNothingLeft, writeConfig, writeLargeData } from "../support/runs.ts";
import { sh, until } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { assertAllVerify, uploadedBytes } from "../support/storage.ts";
import { asUser } from "../support/user.ts";

const machineTest = (name: string, run: () => Promise<void>) =>
  testThatNeeds(["root", "program unshare", "program hostname"], name, run);

const [one, two] = ["1".repeat(32), "2".repeat(32)];

/** A folder whose config tells the name of the folder of a run, its id, and stores nothing. */
function setUp() {
  const folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const config = writeConfig(folder, storage, {
    executeBefore: [`ls /run/plasma >${folder.at("names")}; exit 1`],
  });
  return {
    folder,
    storage,
    /** Run on a machine; returns the eight digits by which it is known. */
    async digits(machine: Machine, traits: MachineTraits): Promise<string> {
      const { code, stderr } = await plasma(["backup", "--config", config], machine.with(traits));
      assertEquals(code, 1, stderr);
      const names = Deno.readTextFileSync(folder.at("names"));
      return /^\d{8}T\d{6}Z-([0-9a-f]{8})-/m.exec(names)![1]!;
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

for (const machineId of ["", "uninitialized\n", `${one}\n`]) {
  const what = JSON.stringify(machineId.slice(0, 15));
  machineTest(
    `row 87: machines with the same machine-id ${what} do not delete each other's upload`,
    async () => {
      using folder = new TemporaryFolder();
      const data = writeLargeData(folder, 24 << 20);
      const storage = folder.storage("storage", { daily: 1000 });
      const args = ["backup", "--to", storage, "--bandwidth-limit", "8M", data];
      const start = (name: string) =>
        startPlasma(args, new Machine(folder, name).with({ machineId }));
      const first = start("machine-a");
      await until("the first upload is under way", () => uploadedBytes(storage) > 4 << 20);
      const second = await start("machine-b").output;
      assertEquals(second.code, 0, second.stderr);
      const { code, stderr } = await first.output;
      assertEquals(code, 0, stderr);
      assertEquals(archivesIn(storage).length, 2);
      await assertAllVerify(storage);
      await assertNothingLeft(storage);
    },
  );
}

machineTest(
  "row 87: a machine stays the same, whatever its host name and what it tells of itself",
  async () => {
    using run = setUp();
    const machine = new Machine(run.folder, "machine");
    const own = await run.digits(machine, { machineId: one, hardware: "hardware-1" });
    for (
      const traits of [
        { machineId: one, hardware: "hardware-1", hostName: "renamed" },
        { machineId: one },
        { machineId: "uninitialized", hardware: "hardware-1" },
        { machineId: undefined },
      ]
    ) assertEquals(await run.digits(machine, traits), own, JSON.stringify(traits));
    assertEquals((await sh("stat", "-c", "%a %U", `${machine.state}/identity`)).trim(), "600 root");
  },
);

machineTest(
  "row 87: a copy of a disk on other hardware, or with another machine-id, is another machine",
  async () => {
    using run = setUp();
    const original = new Machine(run.folder, "original");
    const traits = { machineId: one, hardware: "hardware-1" };
    const own = await run.digits(original, traits);
    const seen = [own];
    for (const other of [{ ...traits, hardware: "hardware-2" }, { ...traits, machineId: two }]) {
      const name = `clone-${seen.length}`;
      await sh("cp", "-a", run.folder.at("original"), run.folder.at(name));
      const clone = new Machine(run.folder, name);
      const digits = await run.digits(clone, other);
      assertEquals(seen.includes(digits), false);
      assertEquals(await run.digits(clone, other), digits, "it stays what it has become");
      seen.push(digits);
    }
    assertEquals(await run.digits(original, traits), own);

    const image = new Machine(run.folder, "image");
    const before = await run.digits(image, { machineId: "uninitialized" });
    assertNotEquals(await run.digits(image, { machineId: one }), before);
  },
);

machineTest("row 87: a machine that tells who it is needs no file for it", async () => {
  using run = setUp();
  const traits = { machineId: one, hardware: "hardware-1" };
  const first = new Machine(run.folder, "first-start");
  const own = await run.digits(first, traits);
  assertEquals(await run.digits(new Machine(run.folder, "next-start"), traits), own);
  for (const hardware of ["00000000-0000-0000-0000-000000000000", undefined]) {
    const same = hardware === undefined ? { machineId: one } : { machineId: one, hardware };
    const digits = await run.digits(new Machine(run.folder, `a-${hardware}`), same);
    assertNotEquals(await run.digits(new Machine(run.folder, `b-${hardware}`), same), digits);
  }
});

machineTest("row 87: what runs of a copied disk left before it was copied is removed", async () => {
  using run = setUp();
  const machine = new Machine(run.folder, "machine");
  const own = await run.digits(machine, { machineId: one });
  const dead = `20260101T000000Z-${own}-01234567-89abcdef`;
  run.folder.write(`machine/run/${dead}/file`, "left by a killed run");
  const foreign = dead.replace(own, "fedcba98");
  run.folder.write(`machine/run/${foreign}/file`, "of another machine");
  await run.digits(machine, { machineId: two });
  assertEquals(machine.runs, [foreign]);
});

machineTest(
  "row 87: a damaged identity is made anew, one that cannot be kept is replaced and told",
  async () => {
    using run = setUp();
    const machine = new Machine(run.folder, "machine");
    const traits = { machineId: one };
    const own = await run.digits(machine, traits);
    for (const text of ["", "{", `{"identity": "x"}`, "x".repeat(5000)]) {
      Deno.writeTextFileSync(`${machine.state}/identity`, text);
      assertNotEquals(await run.digits(machine, traits), own);
    }
    const { through } = machine.with(traits);
    const readOnly = "mount -o remount,bind,ro /var/lib/plasma-agent\nexec";
    const script = through!.map((word) => word.replace("exec", readOnly));
    Deno.removeSync(`${machine.state}/identity`);
    const args = ["backup", "--to", run.storage, run.folder.at("data")];
    const { code, stderr } = await plasma(args, { through: script });
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /warning: machine-id .* stand in .*plasma-agent.*read-only/);
  },
);

testThatNeeds(
  ["root", "program setpriv"],
  "row 87: a user has an identity in his home, and works without one",
  async () => {
    const uid = 64_124;
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage", { daily: 1000 });
    const user = await asUser(uid, folder);
    const args = ["backup", "--to", storage, folder.at("data")];
    const well = await plasma(args, user);
    assertEquals([well.code, well.stderr.includes("warning")], [0, false], well.stderr);
    const files = await sh("find", folder.at("home/.local"), "-type", "f", "-printf", "%m %f\n");
    assertMatch(files, /^600 identity-[0-9a-f]{8}\n$/);
    for (const HOME of ["", "/nonexistent"]) {
      const environment = { ...user.environment, HOME };
      const { code, stderr } = await plasma(args, { ...user, environment });
      assertEquals(code, 0, stderr);
      assert(/warning: machine-id .* stand in/.test(stderr), stderr);
    }
    await sh("sh", "-c", 'rm -rf /tmp/plasma-"$0"-*', `${uid}`);
  },
);
