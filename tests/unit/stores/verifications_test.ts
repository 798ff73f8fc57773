import { assertEquals } from "@std/assert";
import { isNews, readVerifications } from "../../../src/stores/verifications.ts";
import { TemporaryFolder } from "../../support/folders.ts";

const archive = "20250101-0000-daily.tar";
const results = (["ok", "damaged", "no checksum"] as const).flatMap((state) =>
  [false, true].map((deep) => ({ state, deep }))
);

/** All rows of so many results. */
function rowsOf(length: number): (typeof results)[] {
  if (length === 0) return [[]];
  return rowsOf(length - 1).flatMap((row) => results.map((result) => [...row, result]));
}

Deno.test("row 88: what is no news changes nothing of what is known, whatever came before", () => {
  using folder = new TemporaryFolder();
  const journal = folder.at("journal.jsonl");
  const time = Temporal.Now.instant().toString({ smallestUnit: "second" });
  const finding = (row: typeof results) => {
    const lines = row.map((result) =>
      JSON.stringify({ time, event: "verified", archive, ...result })
    );
    Deno.writeTextFileSync(journal, lines.map((line) => `${line}\n`).join(""));
    return readVerifications(journal, new Set([archive])).get(archive)?.finding;
  };
  for (const row of rowsOf(3)) {
    const noted: typeof results = [];
    for (const result of row) {
      finding(noted);
      if (isNews(journal, archive, result.state, result.deep)) noted.push(result);
    }
    assertEquals(finding(noted), finding(row), JSON.stringify(row));
  }
});
