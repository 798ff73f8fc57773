import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../src/errors.ts";
import { chooseArchive } from "../../../src/restore/choose.ts";
import { sampleOf } from "../../../src/restore/sample.ts";
import type { ListedArchive } from "../../../src/stores/mod.ts";

function archive(day: string, more: Partial<ListedArchive> = {}): ListedArchive {
  const name = `${day}-0000-daily.tar`;
  const time = `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}T00:00:00`;
  const rest = { time, label: "daily", kind: "tar", bytes: 1, state: "complete" } as const;
  return { name, ...rest, ...more };
}

const days = ["20250101", "20250102", "20250201"];
const archives = [
  ...days.map((day) => archive(day)),
  archive("29990101", { state: "dated in the future" }),
];

Deno.test("the latest is the newest that is not dated in the future, if there is one", () => {
  const choose = (some: ListedArchive[]) =>
    chooseArchive("latest", { archives: some, foreign: [] }, "/store").name;
  assertEquals(choose(archives), "20250201-0000-daily.tar");
  assertEquals(choose(archives.slice(3)), "29990101-0000-daily.tar");
  assertThrows(() => choose([]), UsageError, "no archives in /store");
});

Deno.test("a name wins over names that begin with it, and a beginning must be unambiguous", () => {
  const gz = { ...archives[0]!, name: `${archives[0]!.name}.gz` };
  const listing = { archives: [...archives, gz], foreign: [] };
  const choose = (word: string) => chooseArchive(word, listing, "/store").name;
  assertEquals(choose("20250101-0000-daily.tar"), "20250101-0000-daily.tar");
  assertEquals(choose("202502"), "20250201-0000-daily.tar");
  assertThrows(() => choose("2025"), UsageError, "any of 4");
  assertThrows(() => choose(""), UsageError, "any of 5");
  assertThrows(() => choose("2024"), UsageError, 'no archive "2024"');
});

Deno.test("row 88: a sample takes those of which nobody has known anything for the longest time", () => {
  const verified = ["2025-03-01T00:00:00Z", undefined, "2025-02-01T00:00:00Z", undefined];
  const some = verified.map((verified, index) => archive(`2025010${index + 1}`, { verified }));
  const sample = (text: string, of = some) => sampleOf(text, of).map((one) => of.indexOf(one));
  assertEquals(sample("100%"), [1, 3, 2, 0]);
  assertEquals(sample("50%"), [1, 3]);
  assertEquals(sample("50.1%"), [1, 3, 2]);
  assertEquals(sample("0.1%"), [1]);
  assertEquals(sampleOf("5%", []), []);

  const newer = [...some.slice(0, 3), archive("20250401")];
  assertEquals(sample("25%", newer), [1]);
  assertEquals(sample("50%", newer), [1, 3], "the newest, too, until it was verified");
  assertEquals(sample("75%", newer), [1, 2, 3]);
  for (const text of ["0%", "100.1%", "5", "-5%", "x%", "", "1e1%"]) {
    assertThrows(() => sample(text), UsageError, "is not a share");
  }
});

Deno.test("row 88: samples come round to every archive, though there is a new one every night", () => {
  const dayOf = (night: number) => new Date(Date.UTC(2025, 0, 1 + night)).toISOString();
  for (const percent of ["1%", "10%"]) {
    let archives: ListedArchive[] = [];
    const checked = new Map<string, number>();
    for (let night = 0; night < 200; night++) {
      const fresh = archive(dayOf(night).slice(0, 10).replaceAll("-", ""));
      checked.set(fresh.name, night);
      // Ten are kept for ever, of the others the newest ten.
      archives = [...archives.slice(0, 10), ...archives.slice(10).slice(-9), fresh];
      for (const { name } of sampleOf(percent, archives)) {
        checked.set(name, night);
        archives = archives.map((one) =>
          one.name === name ? { ...one, verified: dayOf(night) } : one
        );
      }
      for (const { name } of archives) {
        assert(night - checked.get(name)! <= 25, `${percent}: ${name} in night ${night}`);
      }
    }
  }
});
