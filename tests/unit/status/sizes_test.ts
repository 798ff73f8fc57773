import { assertEquals } from "@std/assert";
import { namesOf } from "../../../src/status/assess.ts";
import { ratioToNormal } from "../../../src/status/sizes.ts";
import type { History } from "../../../src/stores/history.ts";

/** Archives of these sizes, a day after another; an odd kind may be given. */
function archives(sizes: readonly (number | readonly [bytes: number, kind: string])[]) {
  return sizes.map((size, index) => {
    const [bytes, kind] = typeof size === "number" ? [size, "tar"] : size;
    const day = String(index + 1).padStart(2, "0");
    const name = `202501${day}-0000-daily.${kind}`;
    return { name, bytes, kind, time: `2025-01-${day}T00:00:00` };
  });
}

const ratio = (...sizes: Parameters<typeof archives>[0]) => ratioToNormal(archives(sizes));

Deno.test("row 77: a size that has collapsed stays so until it is back", () => {
  assertEquals(ratio(100, 40), 0.4);
  assertEquals(ratio(100, 40, 40), 0.4);
  assertEquals(ratio(100, 40, 40, 41, 39), 0.39);
  assertEquals(ratio(100, 40, 90), 0.9);
  assertEquals(ratio(100, 40, 90, 89), 89 / 90);
  assertEquals(ratio(100, 60, 40, 20), 20 / 40);
  assertEquals(ratio(100, 60, 20), 20 / 60);
  assertEquals(ratio(100, 0, 0), 0);
  assertEquals(ratio(0, 0), null);
  assertEquals(ratio(100, [40, "tar.zst"]), null);
  assertEquals(ratio([100, "tar.zst"], 0), 0);
  assertEquals(ratio([100, "btrfs"], 0), null);
  assertEquals(ratio(100, [1, "btrfs"]), null);
  assertEquals(ratio(), null);
});

Deno.test("row 77: what was deleted meanwhile is remembered, and what was accepted is normal", () => {
  const all = archives([100, 40, 41, 42]);
  const stored = all.map(({ name, bytes, time }) => ({
    name,
    bytes,
    agent: undefined,
    time: `${time}Z`,
  })).reverse();
  const kept = all.slice(2);
  const history = (...accepted: string[]): History => ({ stored, accepted: new Set(accepted) });
  assertEquals(ratioToNormal(kept), 42 / 41);
  assertEquals(ratioToNormal(kept, history()), 0.42);
  assertEquals(ratioToNormal(kept, history(all[3]!.name)), 1);
  assertEquals(ratioToNormal(kept, history(all[1]!.name)), 42 / 41);
  // Sizes that alternate are accepted once.
  const alternating = archives([100, 40, 100, 41]);
  assertEquals(ratioToNormal(alternating, { stored: [], accepted: new Set() }), 0.41);
  const accepted = new Set([alternating[1]!.name]);
  assertEquals(ratioToNormal(alternating, { stored: [], accepted }), 41 / 40);
  assertEquals(ratioToNormal(archives([100, 40, 100, 10]), { stored: [], accepted }), 10 / 40);
  const foreign = { ...stored[0]!, name: "../../etc/passwd" };
  assertEquals(ratioToNormal(kept, { stored: [foreign], accepted: new Set() }), 42 / 41);
});

Deno.test("row 77: machines whose folders are called the same have names of their own", () => {
  assertEquals(namesOf(["/b/web", "/b/db"]), ["web", "db"]);
  assertEquals(namesOf(["/one/web", "/two/web", "/one/db"]), ["one/web", "two/web", "db"]);
  assertEquals(namesOf(["/a/x/web", "/b/x/web"]), ["a/x/web", "b/x/web"]);
  assertEquals(namesOf(["/x/web", "/web"]), ["x/web", "web"]);
  assertEquals(namesOf(["/"]), ["/"]);
});
