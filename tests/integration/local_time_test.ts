import { assertEquals, assertMatch } from "@std/assert";
import { archivesIn, TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";

/** What date(1) shows with a zone: day, hour and minute as in the names of archives. */
async function date(zone: string): Promise<string> {
  const { stdout } = await new Deno.Command("date", { args: ["+%Y%m%d-%H%M"], env: { TZ: zone } })
    .output();
  return new TextDecoder().decode(stdout).trimEnd();
}

for (
  const zone of [
    "JST-9",
    "<+0330>-3:30",
    "<-11>11",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "Asia/Tokyo",
    ":Asia/Tokyo",
    "UTC",
    "GMT+2",
    "GMT-5",
    "CET",
    "Nonsense",
    "",
  ]
) {
  Deno.test(`row 73: archives are named by the local time as date(1) shows it: TZ=${zone}`, async () => {
    using folder = new TemporaryFolder();
    folder.write("data/file", "content");
    const storage = folder.storage("storage");
    const environment = { TZ: zone };
    const before = await date(zone);
    const to = ["--to", storage, folder.at("data")];
    const { code, stderr } = await plasma(["backup", ...to], { environment });
    assertEquals(code, 0, stderr);
    const [name] = archivesIn(storage);
    const times = [before, await date(zone)];
    assertEquals(times.includes(name!.slice(0, 13)), true, `${name} is not of ${times}`);
    // Nothing of it is dated in the future, or has an odd age.
    const list = await plasma(["list", "--from", storage], { environment });
    assertMatch(list.stdout, /complete$/m);
    const status = await plasma(["status", "--json", storage], { environment });
    assertEquals(status.code, 0, status.stdout);
    assertEquals(JSON.parse(status.stdout).machines[0].ageSeconds < 120, true);
    const rotate = await plasma(["rotate", storage], { environment });
    assertEquals([rotate.code, rotate.stderr], [0, ""]);
  });
}
