import { assertEquals } from "@std/assert";
import {
  type ArchiveName,
  compareArchives,
  formatArchiveName,
  labels,
  parseArchiveName,
  stampOf,
  timeOf,
} from "../../../src/rotation/archive_name.ts";

Deno.test("parseArchiveName() takes a name apart", () => {
  assertEquals(parseArchiveName("20261122-0730-daily.tar.zst.age"), {
    name: "20261122-0730-daily.tar.zst.age",
    stamp: "20261122073000",
    label: "daily",
    kind: "tar.zst.age",
  });
  assertEquals(parseArchiveName("20261122-073059-yearly.btrfs"), {
    name: "20261122-073059-yearly.btrfs",
    stamp: "20261122073059",
    label: "yearly",
    kind: "btrfs",
  });
});

Deno.test("parseArchiveName() knows every label with every kind", () => {
  const compressions = ["", ".gz", ".zst", ".xz"];
  const kinds = [
    ...compressions.flatMap((suffix) => [`tar${suffix}`, `tar${suffix}.age`]),
    "btrfs",
  ];
  for (const label of labels) {
    for (const kind of kinds) {
      const archive = parseArchiveName(`20200229-2359-${label}.${kind}`);
      assertEquals([archive?.label, archive?.kind], [label, kind]);
    }
  }
});

Deno.test("parseArchiveName() accepts exactly the days that the calendar has", () => {
  const digits = (value: number) => String(value).padStart(2, "0");
  for (const year of [1900, 2000, 2023, 2024, 2100]) {
    for (let month = 0; month <= 13; month++) {
      for (let day = 0; day <= 32; day++) {
        const date = new Date(Date.UTC(year, month - 1, day));
        const isReal = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
        const name = `${year}${digits(month)}${digits(day)}-0000-daily.tar`;
        assertEquals(parseArchiveName(name) !== undefined, isReal, name);
      }
    }
  }
});

Deno.test("parseArchiveName() accepts only times that a clock shows", () => {
  for (const time of ["0000", "2359", "000000", "235959"]) {
    assertEquals(
      parseArchiveName(`20260101-${time}-daily.tar`)?.stamp.slice(8, 12),
      time.slice(0, 4),
    );
  }
  for (const time of ["2400", "0060", "9999", "240000", "006000", "000060", "00000", "000"]) {
    assertEquals(parseArchiveName(`20260101-${time}-daily.tar`), undefined, time);
  }
});

Deno.test("parseArchiveName() takes everything else for foreign", () => {
  const foreign = [
    "",
    "notes-daily.tar",
    "20261301-9999-daily.tar",
    "99999999-0000-daily.tar",
    "20260101-0000-daily",
    "20260101-0000-daily.tar ",
    " 20260101-0000-daily.tar",
    "20260101-0000-daily.tar\n",
    "20260101-0000-daily.tar.sha256",
    "20260101-0000-daily.tar.part",
    "20260101-0000-daily.tar.bz2",
    "20260101-0000-daily.tar.age.zst",
    "20260101-0000-daily.tar.zst.gz",
    "20260101-0000-daily.btrfs.age",
    "20260101-0000-daily.tarball",
    "20260101-0000-Daily.tar",
    "20260101-0000-fortnightly.tar",
    "20260101-0000-.tar",
    "2026-01-01-0000-daily.tar",
    "20260101_0000_daily.tar",
    "x20260101-0000-daily.tar",
    "./20260101-0000-daily.tar",
    "２０２６0101-0000-daily.tar",
    "20260101-0000-daily.TAR",
    "+2026011-0000-daily.tar",
    "2026010 -0000-daily.tar",
  ];
  for (const name of foreign) assertEquals(parseArchiveName(name), undefined, name);
});

Deno.test("formatArchiveName() is the reverse of parseArchiveName()", () => {
  for (const name of ["20261122-0730-daily.tar", "20261122-073001-hourly.tar.zst"]) {
    assertEquals(formatArchiveName(parseArchiveName(name)!, name.includes("-073001-")), name);
  }
});

Deno.test("compareArchives() sorts by time, and within one second by name", () => {
  const sorted = [
    "20251231-235959-hourly.tar",
    "20260101-0000-daily.tar",
    "20260101-0000-yearly.tar",
    "20260101-000000-yearly.tar.zst",
    "20260101-000001-daily.tar",
    "20260101-0001-daily.tar",
  ];
  const parsed: ArchiveName[] = sorted.map((name) => parseArchiveName(name)!);
  assertEquals(parsed.toReversed().sort(compareArchives).map(({ name }) => name), sorted);
  assertEquals(compareArchives(parsed[0]!, parsed[0]!), 0);
});

Deno.test("stampOf() and timeOf() turn a time into a stamp and back", () => {
  const time = Temporal.PlainDateTime.from("2024-02-29T03:04:05");
  assertEquals(stampOf(time), "20240229030405");
  assertEquals(timeOf(stampOf(time)).toString(), time.toString());
  assertEquals(stampOf(Temporal.PlainDateTime.from("0999-01-02T00:00:00")), "09990102000000");
});
