import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../../src/errors.ts";
import { chooseArchive } from "../../../src/restore/choose.ts";
import { sampleOf } from "../../../src/restore/sample.ts";
import type { ListedArchive } from "../../../src/stores/mod.ts";

function archive(day: string, more: Partial<ListedArchive> = {}): ListedArchive {
  const name = `${day}-0000-daily.tar`;
  const rest = { time: "", label: "daily", kind: "tar", bytes: 1, state: "complete" } as const;
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

Deno.test("a sample takes those first that were never verified, then the longest ago", () => {
  const some = ["2025-03-01", undefined, "2025-01-01", undefined].map((verified, index) =>
    archive(`2025010${index + 1}`, { verified })
  );
  const sample = (text: string) => sampleOf(text, some).map((one) => some.indexOf(one));
  assertEquals(sample("100%"), [1, 3, 2, 0]);
  assertEquals(sample("50%"), [1, 3]);
  assertEquals(sample("50.1%"), [1, 3, 2]);
  assertEquals(sample("0.1%"), [1]);
  assertEquals(sampleOf("5%", []), []);
  for (const text of ["0%", "100.1%", "5", "-5%", "x%", "", "1e1%"]) {
    assertThrows(() => sample(text), UsageError, "is not a share");
  }
});
