import { assertEquals, assertMatch } from "@std/assert";
import { fromRoot, namesIn, TemporaryFolder } from "../support/folders.ts";
import { tryRun } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";

const units = namesIn(fromRoot("systemd")).filter((name) => /\.(service|timer)$/.test(name));
const textOf = (unit: string) => Deno.readTextFileSync(fromRoot(`systemd/${unit}`));

testThatNeeds(["program systemd-analyze"], "systemd finds no fault in the units", async () => {
  assertEquals(units.includes("plasma-agent.service"), true);
  assertEquals(units.includes("plasma-agent.timer"), true);
  const paths = units.map((unit) => fromRoot(`systemd/${unit}`));
  const { code, stdout, stderr } = await tryRun("systemd-analyze", "verify", ...paths);
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

testThatNeeds(["program systemd-analyze"], "systemd would find a fault", async () => {
  using folder = new TemporaryFolder();
  const wrong = textOf("plasma-agent.timer").replace("OnCalendar=", "OnCalender=");
  const path = folder.write("plasma-agent.timer", wrong);
  folder.write("plasma-agent.service", textOf("plasma-agent.service"));
  assertMatch((await tryRun("systemd-analyze", "verify", path)).stderr, /OnCalender/);
});

Deno.test("the timer starts at midnight, each machine at its own minute, and catches up", () => {
  const timer = textOf("plasma-agent.timer");
  assertMatch(timer, /^OnCalendar=(daily|\*-\*-\* 00:00:00)$/m);
  assertMatch(timer, /^Persistent=true$/m);
  assertMatch(timer, /^RandomizedDelaySec=[1-9]/m);
  assertMatch(timer, /^\[Install\]\nWantedBy=timers\.target$/m);
});

Deno.test("the service runs plasma-agent once", () => {
  const service = textOf("plasma-agent.service");
  assertMatch(service, /^Type=oneshot$/m);
  assertMatch(service, /^ExecStart=.*\bplasma-agent$/m);
});
