import { assert, assertEquals } from "@std/assert";
import { namesIn } from "../support/folders.ts";
import { Gate } from "../support/gate.ts";
import { plasmaProgram } from "../support/plasma.ts";
import { descendants, processes } from "../support/processes.ts";
import { sh, until } from "../support/sh.ts";
import { type Site, snapshotsOf } from "../support/site.ts";
import type { Sshd } from "../support/sshd.ts";
import {
  keptOf,
  Nights,
  noise,
  sendOverSshTest,
  sendTest,
  slowStreams,
  untilMidStream,
  uuidOf,
} from "./send_night.ts";

const large = 4_000_000;

/** The pids of what is to be killed in the middle of a stream, given that of the agent. */
const victims: Readonly<Record<string, (agent: number, sshd: Sshd) => Promise<number[]>>> = {
  "btrfs send": (agent) => pidsBelow(agent, /^\S*\bbtrfs send /),
  "btrfs receive": (_agent, sshd) => pidsBelow(sshd.pid, /^\S*\bbtrfs (\S+ )*receive /),
  "ssh": (agent) => pidsBelow(agent, /^\S*\bssh /),
  "the child of sshd": async (_agent, sshd) =>
    (await processes()).filter(({ parent }) => parent === sshd.pid).map(({ pid }) => pid),
};

/** The pids of what a process and its children have started. */
async function pidsBelow(root: number, pattern: RegExp): Promise<number[]> {
  return (await descendants(root)).filter(({ command }) => pattern.test(command))
    .map(({ pid }) => pid);
}

async function untilDead(site: Site): Promise<void> {
  await until(
    "all processes of the killed run have ended",
    async () =>
      !(await processes()).some(({ pid, command }) =>
        pid !== Deno.pid && command.includes(`${site.path}/`) && !/sshd_config/.test(command)
      ),
  );
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
  }
}

/** All archives hold the whole of what they name. */
async function assertArchivesAreWhole(nights: Nights): Promise<void> {
  for (const name of nights.archives) {
    for (const record of nights.records(`${nights.storage}/${name}`)) {
      const stored = `${nights.storage}/${name}/${record.name}`;
      assertEquals((await uuidOf(stored))[1], record.identity);
      assertEquals(await sh("btrfs", "property", "get", stored, "ro"), "ro=true\n");
      if (record.path.endsWith("btrfs/data")) {
        assertEquals(Deno.lstatSync(`${stored}/large`).size, large);
      }
    }
  }
}

for (const way of ["through the pump", "as it is sent"] as const) {
  sendOverSshTest(
    `a part of the run is killed in the middle of the stream, ${way} (row 45)`,
    async (site, nights, sshd) => {
      await site.subvolume("btrfs/data/nested");
      const more = { ...slowStreams[way](site), retries: 0 };
      site.write("btrfs/data/nested/file", noise(20_000));
      for (const round of ["all of it", "an increment"]) {
        for (
          const [what, find] of [...Object.entries(victims), ["the agent", undefined] as const]
        ) {
          site.write("btrfs/data/large", noise(large));
          const before = nights.archives;
          const run = nights.start(more);
          await untilMidStream(nights);
          const doomed = find === undefined ? [run.child.pid] : await find(run.child.pid, sshd);
          assert(doomed.length > 0, `${what} runs`);
          doomed.forEach(kill);
          const { code, stderr } = await run.output;
          await untilDead(site);
          const added = nights.archives.length - before.length;
          assertEquals(added, code === 0 ? 1 : 0, `${what}, ${round}: status ${code}: ${stderr}`);
          // A broken pipe at either end may have been followed by another try, which sends all.
          if (find === undefined || round === "all of it") {
            assertEquals(
              added,
              0,
              `${what}: ${stderr}`,
            );
          }
          await assertArchivesAreWhole(nights);
        }
        const { stderr } = await nights.runWell();
        assertEquals(/sending all/.test(stderr), round === "all of it", stderr);
        assertEquals((await keptOf(site)).length, 1);
        assertEquals(
          (await site.snapshots()).filter((line) => !line.includes("incoming")).length,
          2,
        );
      }
    },
  );
}

sendOverSshTest("the agent is killed at any moment (rows 23, 45)", async (site, nights) => {
  site.write("btrfs/data/large", noise(large));
  await nights.runWell();
  let isOver = false;
  for (let milliseconds = 60; !isOver; milliseconds *= 1.25) {
    site.write("btrfs/data/small", noise(100_000));
    const { child, output } = nights.start();
    const timer = setTimeout(() => kill(child.pid), milliseconds);
    isOver = (await output).signal === null;
    clearTimeout(timer);
  }
  await untilDead(site);
  await assertArchivesAreWhole(nights);
  // What might have been committed in the next moment is removed only after a while.
  const incoming = `${nights.storage}/.plasma/incoming`;
  for (const name of namesIn(incoming)) Deno.utimeSync(`${incoming}/${name}`, 0, 0);
  site.write("btrfs/data/small", noise(100_000));
  const { stderr } = await nights.runWell();
  assert(!/sending all/.test(stderr), stderr);
  assert(nights.bytes < 200_000, `${nights.bytes}`);
  assertEquals((await keptOf(site)).length, 1);
  assertEquals((await site.snapshots()).length, 1, `${await site.snapshots()}`);
});

sendTest(
  "killed after the commit: the next run goes on from what was stored (row 46)",
  async (site, nights) => {
    site.write("btrfs/data/large", noise(large));
    await nights.runWell();
    const gate = Gate.at(site, "before", "btrfs", "*subvolume\\ delete*");
    site.write("btrfs/data/small", noise(100_000));
    const run = nights.start();
    await gate.reached();
    assertEquals(nights.archives.length, 2);
    const held = await pidsBelow(run.child.pid, /./);
    kill(run.child.pid);
    for (const pid of held) kill(pid);
    await run.output;
    await untilDead(site);
    Deno.removeSync(site.at("bin"), { recursive: true });
    assertEquals((await keptOf(site)).length, 2);
    const stored = await uuidOf(nights.stored());
    await nights.runWell();
    assert(nights.bytes < 10_000, `${nights.bytes}`);
    assertEquals(nights.archives.length, 3);
    assert((await sh("btrfs", "subvolume", "show", nights.stored())).includes(stored[0]!));
    assertEquals((await keptOf(site)).length, 1);
  },
);

sendOverSshTest("killed while the storage commits (row 46)", async (site, nights, sshd) => {
  site.write("btrfs/data/large", noise(large));
  await nights.runWell();
  const gate = Gate.at(site, "before", "btrfs", "*filesystem\\ sync*/store/*");
  const command = site.write(
    "remote",
    `#!/bin/sh\nPATH=${site.at("bin")}:$PATH\nexec ${plasmaProgram} "$@"\n`,
  );
  Deno.chmodSync(command, 0o755);
  site.write("btrfs/data/small", noise(100_000));
  const run = nights.start({ ssh: { ...sshd.settings, command } });
  await gate.reached();
  kill(run.child.pid);
  await run.output;
  gate.open();
  const incoming = `${nights.storage}/.plasma/incoming`;
  await until("the storage has committed", () => namesIn(incoming).length === 0);
  assertEquals(nights.archives.length, 2);
  await untilDead(site);
  Deno.removeSync(site.at("bin"), { recursive: true });
  const [uuid] = await uuidOf(nights.stored());
  await nights.runWell();
  assert(nights.bytes < 10_000, `${nights.bytes}`);
  assert((await sh("btrfs", "subvolume", "show", nights.stored())).includes(uuid!));
  assertEquals([nights.archives.length, (await keptOf(site)).length], [3, 1]);
});

sendTest("what others have put into .plasma is left alone (row 45)", async (site, nights) => {
  const owner = "20200101T000000Z-01234567-89abcdef-00000001";
  await nights.runWell();
  const incoming = `${nights.storage}/.plasma/incoming`;
  const foreign = [
    `${incoming}/mine`,
    `${incoming}/mine.btrfs`,
    site.at("btrfs/.plasma/mine"),
  ];
  for (const path of foreign) await sh("btrfs", "-q", "subvolume", "create", path);
  const others = [`${owner}-256.sent`, `${owner}-256`, "mine.sent"];
  for (const name of others) {
    const path = site.at(`btrfs/.plasma/${name}`);
    await sh("btrfs", "-q", "subvolume", "snapshot", "-r", site.at("btrfs/data"), path);
  }
  // An upload of another machine that is under way: some has come a moment ago.
  await sh("mkdir", `${incoming}/${owner}.btrfs`);
  Deno.writeTextFileSync(`${incoming}/${owner}.btrfs/received.jsonl`, "");
  Deno.writeTextFileSync(`${incoming}/${owner}.part`, "");
  for (let night = 0; night < 2; night++) {
    const { code, stderr } = await nights.run();
    assertEquals(code, 0, stderr);
    for (const path of foreign) assert(Deno.statSync(path).isDirectory);
    assert(Deno.statSync(`${incoming}/${owner}.btrfs`).isDirectory);
    assertEquals(
      snapshotsOf(site).filter((name) => others.includes(name)),
      others.toSorted(),
    );
  }
});
