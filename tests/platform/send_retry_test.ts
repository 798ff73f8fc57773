import { assert, assertEquals } from "@std/assert";
import { namesIn } from "../support/folders.ts";
import { Gate } from "../support/gate.ts";
import { plasmaProgram } from "../support/plasma.ts";
import { descendants, processes } from "../support/processes.ts";
import { sh, until } from "../support/sh.ts";
import type { Site } from "../support/site.ts";
import type { Sshd } from "../support/sshd.ts";
import {
  keptOf,
  noise,
  sendOverSshTest,
  sendTest,
  slowStreams,
  untilMidStream,
} from "./send_night.ts";

/** The settings of a storage host on which a program of the site's comes first. */
function hostWith(site: Site, sshd: Sshd, program: string, script: string) {
  const real = `real=$(PATH=\${PATH#*:}; command -v ${program})`;
  Deno.chmodSync(site.write(`host/${program}`, `#!/bin/sh\n${real}\n${script}\n`), 0o755);
  const words = `PATH=${site.at("host")}:$PATH\nexec ${plasmaProgram} "$@"\n`;
  const command = site.write("remote", `#!/bin/sh\n${words}`);
  Deno.chmodSync(command, 0o755);
  return { ...sshd.settings, command };
}

for (const way of ["through the pump", "as it is sent"] as const) {
  sendOverSshTest(`row 25: a stream that is cut is sent again, ${way}`, async (site, nights) => {
    site.write("btrfs/data/large", noise(4_000_000));
    const more = { ...slowStreams[way](site), retries: 2, retryDelay: "1s" };
    const run = nights.start(more);
    await untilMidStream(nights);
    for (const { pid, command } of await descendants(run.child.pid)) {
      if (/^\S*\bssh /.test(command)) Deno.kill(pid, "SIGKILL");
    }
    const { code, stderr } = await run.output;
    assertEquals(code, 0, stderr);
    assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
    await nights.assertNewestIsAsSent();
  });
}

for (const more of [{}, { bandwidthLimit: "100M" }]) {
  const way = "bandwidthLimit" in more ? "through the pump" : "past it";
  sendOverSshTest(
    `row 22: SIGTERM while the storage is not done with what it has, ${way}`,
    async (site, nights, sshd) => {
      site.write("btrfs/data/large", noise(1_000_000));
      const done = site.at("done");
      const slow = `"$real" "$@"; touch ${done}; sleep 20`;
      const ssh = hostWith(
        site,
        sshd,
        "btrfs",
        `case "$*" in *receive\\ -C*) ${slow} ;; *) exec "$real" "$@" ;; esac`,
      );
      const run = nights.start({ ...more, ssh });
      await until("all has come", () => namesIn(site.path).includes("done"));
      const begin = performance.now();
      run.child.kill("SIGTERM");
      const { code, lastLine } = await run.output;
      assertEquals(code, 143, lastLine);
      assert(performance.now() - begin < 15_000, "it does not wait for the storage");
      assertEquals([nights.archives, await keptOf(site)], [[], []]);
    },
  );
}

sendOverSshTest(
  "row 23: what is being sent ends with the agent, however slow the storage is",
  async (site, nights, sshd) => {
    site.write("btrfs/data/large", noise(20_000_000));
    const held = '{ head -c 1500000; sleep 30; cat; } | "$real" "$@"';
    const ssh = hostWith(
      site,
      sshd,
      "btrfs",
      `case "$*" in *receive\\ -C*) ${held} ;; *) exec "$real" "$@" ;; esac`,
    );
    const run = nights.start({ ssh });
    await untilMidStream(nights);
    const sends = async () =>
      (await processes()).filter(({ command }) => /\bbtrfs send --quiet .*-\d+\.sent/.test(command))
        .length;
    assert(await sends() > 0, "it is being sent");
    run.child.kill("SIGKILL");
    await run.output;
    await until("nothing is sent any more", async () => await sends() === 0, 10);
  },
);

sendTest(
  "row 33: what was received is on the disk before it is committed",
  async (site, nights) => {
    site.write("btrfs/data/large", noise(4_000_000));
    const gate = Gate.at(site, "before", "btrfs", `"filesystem sync ${nights.storage}"`);
    const run = nights.start();
    await gate.reached();
    // Any other transaction brings the names to the disk, and not the data.
    await sh("btrfs", "-q", "subvolume", "create", site.at("store/other"));
    await sh("btrfs", "-q", "subvolume", "snapshot", site.at("store/other"), site.at("store/more"));
    await sh("cp", "--sparse=always", site.at("image1"), site.at("cut"));
    const path = await site.mount("after", "-o", "loop", site.at("cut"));
    const [stored] = (await sh("find", `${path}/backups`, "-name", "large")).split("\n");
    await sh("cmp", stored!, site.at("btrfs/data/large"));
    await sh("umount", path);
    gate.open();
    assertEquals((await run.output).code, 0);
  },
);
