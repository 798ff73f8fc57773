import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { Mount } from "../support/mounts.ts";
import { plasma, startPlasma } from "../support/plasma.ts";
import { measuringMemory } from "../support/processes.ts";
import { claimOf, request, runId, serve } from "../support/serve.ts";
import { sh } from "../support/sh.ts";
import { testThatNeeds } from "../support/skip.ts";
import { fingerprints } from "../support/storage.ts";

/** Archives of consecutive days, oldest first. */
function daily(count: number): string[] {
  const first = Temporal.PlainDate.from("2020-01-06");
  return Array.from({ length: count }, (_, day) => {
    const date = first.add({ days: day }).toString().replaceAll("-", "");
    return `${date}-0000-daily.tar`;
  });
}

function writeArchives(folder: TemporaryFolder, storage: string, names: readonly string[]): void {
  for (const name of names) {
    folder.write(`${storage}/${name}`, name);
    folder.write(`${storage}/${name}.sha256`, `${"0".repeat(64)}  ${name}\n`);
  }
}

Deno.test("rotate keeps the newest of each label, and says why, archive by archive", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 2, weekly: 1, monthly: 1, yearly: 0 });
  const others = [
    "20190101-0000-yearly.tar",
    "20190201-0000-monthly.tar",
    "20190301-0000-monthly.tar",
  ];
  writeArchives(folder, "storage", [...others, "20190302-0000-hourly.tar", ...daily(4)]);
  const { code, stdout, stderr } = await plasma(["rotate", storage]);
  assertEquals(code, 0, stderr);
  assertEquals(stdout.replaceAll(/ {2,}/g, " ").split("\n"), [
    "delete 20190101-0000-yearly.tar more than 0 yearly",
    "delete 20190201-0000-monthly.tar more than 1 monthly",
    "keep 20190301-0000-monthly.tar monthly 1 of 1",
    "keep 20190302-0000-hourly.tar the policy does not name hourly",
    "delete 20200106-0000-daily.tar more than 2 daily",
    "delete 20200107-0000-daily.tar more than 2 daily",
    "keep 20200108-0000-daily.tar daily 2 of 2",
    "keep 20200109-0000-daily.tar daily 1 of 2",
    `${storage}: 4 kept, 4 deleted`,
    "",
  ]);
  const kept = ["20190301-0000-monthly.tar", "20190302-0000-hourly.tar", ...daily(4).slice(2)];
  assertEquals(archivesIn(storage), kept);
  const sidecars = namesIn(storage).filter((name) => name.endsWith(".sha256"));
  assertEquals(sidecars, kept.map((name) => `${name}.sha256`));
});

Deno.test("rotate --dry-run changes nothing, not even a file of its own", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 1 });
  writeArchives(folder, "storage", daily(3));
  const before = [...namesIn(storage), ...await fingerprints(storage)];
  const { code, stdout, stderr } = await plasma(["rotate", "--dry-run", storage]);
  assertEquals(code, 0, stderr);
  assertEquals(stdout.match(/^would delete {2}20200/gm)?.length, 2);
  assertMatch(stdout, /: 1 kept, 2 to be deleted$/m);
  assertEquals([...namesIn(storage), ...await fingerprints(storage)], before);
});

Deno.test("rotate goes on with the next folder when one fails", async () => {
  using folder = new TemporaryFolder();
  const [first, last] = [
    folder.storage("first", { daily: 1 }),
    folder.storage("last", { daily: 1 }),
  ];
  for (const name of ["first", "last", "bare"]) writeArchives(folder, name, daily(2));
  const { code, stdout, stderr } = await plasma(
    ["rotate", "--json", first, folder.at("bare"), folder.at("missing"), last],
  );
  assertEquals(code, 1, stderr);
  assertEquals([archivesIn(first).length, archivesIn(last).length], [1, 1]);
  assertEquals(archivesIn(folder.at("bare")).length, 2);
  assertEquals(namesIn(folder.at("missing")), []);
  const reports = JSON.parse(stdout);
  assertEquals(reports.map((report: { error?: string }) => report.error === undefined), [
    true,
    false,
    false,
    true,
  ]);
  assertStringIncludes(reports[1].error, "it has no plasma-rotate.json");
  assertEquals(reports[0].deleted, daily(1));
});

Deno.test("rotate of a folder without policy ends with status 2", async () => {
  using folder = new TemporaryFolder();
  writeArchives(folder, "bare", daily(2));
  const { code, lastLine } = await plasma(["rotate", folder.at("bare")]);
  assertEquals(code, 2);
  assertStringIncludes(lastLine, "plasma init");
  assertEquals(archivesIn(folder.at("bare")), daily(2));
});

Deno.test("what is not an archive is neither counted nor deleted, and named (row 39)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 1 });
  const foreign = [
    "20261301-9999-daily.tar",
    "99999999-0000-daily.tar",
    "20190229-0000-daily.tar",
    "20200101-2460-daily.tar",
    "20200101-0000-dailyX.tar",
    "20200101-0000-daily.tar.part",
    "20200101-0000-daily.tar~",
    "x20200101-0000-daily.tar",
    "notes-daily.tar",
    "--help",
    "-rf",
    "a\nb",
  ];
  for (const name of foreign) folder.write(`storage/${name}`, "foreign");
  folder.write("storage/20300101-0000-daily.btrfs", "a file is no received subvolume");
  Deno.mkdirSync(`${storage}/20300102-0000-daily.tar`);
  Deno.symlinkSync("/etc/passwd", `${storage}/20300103-0000-daily.tar`);
  Deno.symlinkSync("nowhere", `${storage}/20300104-0000-daily.tar`);
  writeArchives(folder, "storage", daily(3));
  const before = namesIn(storage);

  const { code, stdout, stderr } = await plasma(["rotate", storage]);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /: 1 kept, 2 deleted$/m);
  for (const name of ["notes-daily.tar", "20261301-9999-daily.tar", "20300102-0000-daily.tar"]) {
    assertEquals(stderr.split(name).length, 2, `${name} is named once in ${stderr}`);
  }
  const gone = daily(2).flatMap((name) => [name, `${name}.sha256`]);
  const after = namesIn(storage).filter((name) => name !== ".plasma");
  assertEquals(after, before.filter((name) => !gone.includes(name)));
  assertEquals(Deno.readTextFileSync("/etc/passwd").length > 0, true);
});

Deno.test("the newest archive is never deleted, whatever the policy says", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 0, weekly: 1 });
  writeArchives(folder, "storage", daily(3));
  const { code, stdout } = await plasma(["rotate", storage]);
  assertEquals(code, 0);
  assertMatch(stdout, /^keep +20200108-0000-daily.tar +the newest archive is never deleted$/m);
  assertEquals(archivesIn(storage), daily(3).slice(2));
});

Deno.test("an archive dated in the future is reported, kept and pushes nothing out (row 42)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 2 });
  writeArchives(folder, "storage", [...daily(2), "29990101-0000-daily.tar"]);
  const { code, stdout, stderr } = await plasma(["rotate", storage]);
  assertEquals(code, 0);
  assertMatch(stdout, /: 3 kept, 0 deleted$/m);
  assertStringIncludes(stderr, "29990101-0000-daily.tar is dated in the future");
});

Deno.test("keepWithin keeps what is young", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 1, keepWithin: "2d" });
  const now = Temporal.Now.plainDateTimeISO();
  const names = [72, 36, 12, 1].map((hours) => {
    const digits = now.subtract({ hours }).toString().replaceAll(/[-:]/g, "");
    return `${digits.slice(0, 8)}-${digits.slice(9, 13)}-daily.tar`;
  });
  writeArchives(folder, "storage", names);
  const { code, stdout } = await plasma(["rotate", storage]);
  assertEquals(code, 0);
  assertEquals(stdout.match(/within keepWithin$/gm)?.length, 2);
  assertEquals(archivesIn(storage), names.slice(1));
});

testThatNeeds(
  ["root", "program python3"],
  "100,000 archives are rotated fast and with flat memory (row 40)",
  async () => {
    using folder = new TemporaryFolder();
    const storage = folder.at("storage");
    await using _ = await Mount.tmpfs(storage, 200);
    folder.storage("storage", { daily: 10 });
    // One file with 100,000 names: inodes are not what is tested.
    folder.write("storage/x", "x");
    for (let number = 0; number < 100_000; number++) {
      const day = Temporal.PlainDate.from("1000-01-01").add({ days: number });
      Deno.linkSync(
        `${storage}/x`,
        `${storage}/${day.toString().replaceAll("-", "")}-0000-daily.tar`,
      );
    }
    const start = Date.now();
    const { code, stdout, stderr } = await plasma(["rotate", storage], {
      through: measuringMemory,
    });
    assertEquals(code, 0, stderr);
    assertEquals(Date.now() - start < 20_000, true, "it takes seconds");
    assertMatch(stdout, /: 10 kept, 99990 deleted$/m);
    const kilobytes = Number(stderr.trimEnd().split("\n").at(-1));
    assertEquals(kilobytes > 10_000 && kilobytes < 300_000, true, `${kilobytes} KiB`);
  },
);

testThatNeeds(
  ["root", "program chattr"],
  "one archive that cannot be deleted does not keep the others (row 41)",
  async () => {
    using folder = new TemporaryFolder();
    const image = folder.at("image");
    await using _ = await Mount.ext4(image, folder.at("storage"), 16);
    const storage = folder.at("storage");
    Deno.removeSync(`${storage}/lost+found`);
    folder.storage("storage", { daily: 1 });
    writeArchives(folder, "storage", daily(4));
    const immutable = `${storage}/${daily(2)[1]}`;
    await sh("chattr", "+i", immutable);
    const { code, lastLine } = await plasma(["rotate", storage]);
    assertEquals(code, 3);
    assertStringIncludes(lastLine, `cannot delete ${immutable}: operation not permitted`);
    assertEquals(archivesIn(storage), [daily(2)[1], daily(4)[3]]);
    assertEquals(Deno.readTextFileSync(immutable), daily(2)[1]);
  },
);

Deno.test("two rotations at once leave what the policy keeps (row 41)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 5 });
  const names = daily(400);
  writeArchives(folder, "storage", names);
  const runs = [1, 2, 3].map(() => startPlasma(["rotate", "--json", storage]).output);
  const outputs = await Promise.all(runs);
  assertEquals(outputs.map(({ code }) => code), [0, 0, 0]);
  assertEquals(archivesIn(storage), names.slice(-5));
  const deleted = outputs.flatMap(({ stdout }) => JSON.parse(stdout)[0].deleted);
  assertEquals(deleted.sort(), names.slice(0, -5), "each archive is deleted by one of them");
});

Deno.test("archives that vanish during a rotation do no harm (row 41)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 5 });
  const names = daily(3000);
  writeArchives(folder, "storage", names);
  const rotation = startPlasma(["rotate", storage]);
  for (const name of names.slice(0, -5).reverse()) {
    try {
      Deno.removeSync(`${storage}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { code, stderr } = await rotation.output;
  assertEquals(code, 0, stderr);
  assertEquals(archivesIn(storage), names.slice(-5));
});

/** One archive a night up to today, as the calendar labels them where the policy keeps all three. */
function nightly(today: Temporal.PlainDate, count: number, onlyDaily = false): string[] {
  return Array.from({ length: count }, (_, ago) => {
    const date = today.subtract({ days: ago });
    const usual = date.day === 1 ? "monthly" : date.dayOfWeek === 1 ? "weekly" : "daily";
    return `${date.toString().replaceAll("-", "")}-0000-${onlyDaily ? "daily" : usual}.tar`;
  }).reverse();
}

/** What a thief does who has a key that may store: so many empty archives, one after the other. */
async function storeEmptyArchives(storage: string, count: number): Promise<void> {
  const flags = ["--root", storage, "--allow", "store"];
  for (let number = 1; number <= count; number++) {
    const parameters = { folder: storage, run: runId(number), kind: "tar", ...claimOf("") };
    for (const verb of ["store", "commit"]) {
      const { ok, message } = await serve(request(verb, parameters), flags);
      assertEquals([ok, message], [true, ""]);
    }
  }
}

const today = () => Temporal.Now.plainDateISO();

/** Do something within one day, again if it has gone over midnight. */
async function withinOneDay(action: (day: Temporal.PlainDate) => Promise<void>): Promise<void> {
  for (;;) {
    const day = today();
    try {
      return await action(day);
    } catch (error) {
      if (today().equals(day)) throw error;
    }
  }
}

Deno.test("row 50: seven empty archives in seven seconds push out no good one", async () => {
  await withinOneDay(async (day) => {
    using folder = new TemporaryFolder();
    const storage = folder.at("storage");
    assertEquals((await plasma(["init", storage])).code, 0);
    writeArchives(folder, "storage", nightly(day, 250));
    assertEquals((await plasma(["rotate", storage])).code, 0);
    const good = archivesIn(storage);
    // So it is on any day of a year.
    const fortnight = nightly(day, 14);
    assertEquals(good.filter((name) => fortnight.includes(name)), fortnight);
    assertEquals(good.filter((name) => name.includes("monthly")).length, 6);

    await storeEmptyArchives(storage, 7);
    const { code, stderr } = await plasma(["rotate", storage]);
    assertEquals(code, 0, stderr);
    const left = archivesIn(storage);
    assertEquals(left.filter((name) => good.includes(name)), good);
    assertEquals(left.length, good.length + 7);
  });
});

Deno.test("row 50: nor do they where the policy has no keepWithin", async () => {
  await withinOneDay(async (day) => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage", { daily: 7 });
    const good = nightly(day, 7, true);
    writeArchives(folder, "storage", nightly(day, 20, true));
    await storeEmptyArchives(storage, 8);
    const added = archivesIn(storage).slice(20);
    assertEquals(added.length, 8);

    const { code, stdout, stderr } = await plasma(["rotate", storage]);
    assertEquals(code, 0, stderr);
    assertEquals(archivesIn(storage), [...good, ...added.slice(1)]);
    const oldest = day.subtract({ days: 6 });
    assertStringIncludes(stdout, `${good[0]}  first daily of ${oldest}, 7 of 7 days\n`);
    // Also the next times, and by the key's own request.
    const again = await serve(request("rotate", { folder: storage }), ["--allow", "rotate"]);
    assertEquals([again.ok, again.message], [true, ""]);
    assertEquals(archivesIn(storage), [...good, ...added.slice(1)]);
  });
});
