import { assert, assertEquals } from "@std/assert";
import { fromRoot } from "../support/folders.ts";

/** The catalogue of faults, and what says of a row that no test shows it yet. */
const catalogue = "docs/faults.md";
const open = "open";

/** A row of the catalogue: its number and its last column, as it is written. */
interface Row {
  readonly number: number;
  readonly tests: string;
}

function readCatalogue(): Row[] {
  const lines = Deno.readTextFileSync(fromRoot(catalogue)).split("\n");
  return lines.flatMap((line) => {
    const [, number, tests] = /^\| *(\d+) *\|.*\| *(.*?) *\|$/.exec(line) ?? [];
    return tests === undefined ? [] : [{ number: Number(number), tests }];
  });
}

/** The rows that a test file has in the names of its tests: "row 4: ...", "... (rows 4, 17)". */
function rowsIn(source: string): number[] {
  return source.split("\n").flatMap((line) => {
    if (/^\s*(\/\/|\/?\*)/.test(line)) return [];
    // From the first quote on, and without a comment at the end.
    const text = line.replace(/^[^"'`]*/, "").replace(/ \/\/ [^"'`]*$/, "");
    const lists = text.matchAll(/\brows? (\d+(?:(?:,|,? and) \d+)*)\b/g);
    return [...lists].flatMap(([, list]) => list!.match(/\d+/g)!.map(Number));
  });
}

/** The paths of all test files but this one, sorted. */
function testFiles(folder = "tests"): string[] {
  return [...Deno.readDirSync(fromRoot(folder))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return testFiles(path);
    return path.endsWith(".ts") && !import.meta.url.endsWith(path) ? [path] : [];
  }).sort();
}

/** For each row the files with a test of it, as they are written in the last column. */
function testsByRow(): Map<number, string> {
  const found = new Map<number, string>();
  for (const path of testFiles()) {
    for (const row of new Set(rowsIn(Deno.readTextFileSync(fromRoot(path))))) {
      const before = found.get(row);
      found.set(row, `${before === undefined ? "" : `${before}, `}\`${path}\``);
    }
  }
  return found;
}

Deno.test("the names of tests tell which rows of the catalogue they show", () => {
  const source = [
    'Deno.test("row 4: a fault", () => {});',
    '  testThatNeeds(["root"], `a ${fault} (rows 17, 20)`, run); // not row 5',
    "  'rows 30, 31 and 32': run,",
    "// row 6",
    "  /** What row 7 needs. */",
    "const row = 8;",
    'throw new Error("rows: 9, arrow 10, row11");',
  ].join("\n");
  assertEquals(rowsIn(source), [4, 17, 20, 30, 31, 32]);
});

Deno.test("the catalogue of faults has its rows in order, none lost, none twice", () => {
  const numbers = readCatalogue().map(({ number }) => number);
  assertEquals(numbers, numbers.map((_, index) => index + 1));
  assert(numbers.length >= 94, `${catalogue} ends with row ${numbers.length}`);
});

Deno.test("every row of the catalogue of faults names the files that have its tests", () => {
  const rows = readCatalogue();
  const found = testsByRow();
  const unknown = [...found.keys()].filter((row) => !rows.some(({ number }) => number === row));
  assertEquals(unknown, [], `tests name rows that are not in ${catalogue}`);
  const wrong = rows.flatMap(({ number, tests }) => {
    const expected = found.get(number) ?? open;
    return tests === expected ? [] : [`row ${number}: instead of ${tests} write ${expected}`];
  });
  assert(
    wrong.length === 0,
    `the last column of ${catalogue} names all files with a test that has "row N" in its name; ` +
      `without one the row is ${open}:\n${wrong.join("\n")}`,
  );
});
