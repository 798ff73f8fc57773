import { assertEquals } from "@std/assert";
import { assess, worst } from "../../../src/status/assess.ts";
import type { ListedArchive } from "../../../src/stores/mod.ts";

const now = Temporal.ZonedDateTime.from("2025-03-31T12:00[Europe/Berlin]");
const limits = { maxAge: 26 * 3600, criticalAge: 50 * 3600 };

function archive(time: string, more: Partial<ListedArchive> = {}): ListedArchive {
  const rest = { name: time, label: "daily", kind: "tar", bytes: 100, state: "complete" } as const;
  return { time, ...rest, ...more };
}

function judge(archives: ListedArchive[], { torn = 0, foreign = [] as string[] } = {}) {
  return assess({ kind: "read", folder: "/b/web", archives, foreign, torn }, now, limits);
}

Deno.test("age is real time, on days on which clocks change too", () => {
  // The night to March 30 has an hour less.
  assertEquals(judge([archive("2025-03-29T12:00")]).ageSeconds, 47 * 3600);
  assertEquals(judge([archive("2025-03-31T12:00")]).ageSeconds, 0);
});

Deno.test("limits are inclusive", () => {
  const state = (time: string) => judge([archive(time)]).state;
  assertEquals(state("2025-03-30T10:00:00"), "ok");
  assertEquals(state("2025-03-30T09:59:59"), "warning");
  assertEquals(state("2025-03-29T09:00:00"), "warning");
  assertEquals(state("2025-03-29T08:59:59"), "critical");
});

Deno.test("sizes are compared with the archive before of the same kind", () => {
  const [old, last] = ["2025-03-30T12:00", "2025-03-31T11:00"];
  const ratio = (...archives: ListedArchive[]) => judge(archives).sizeRatio;
  assertEquals(ratio(archive(old), archive(last, { bytes: 49 })), 0.49);
  assertEquals(ratio(archive(old), archive(last, { bytes: 1, kind: "tar.zst" })), null);
  assertEquals(ratio(archive(old, { bytes: 0 }), archive(last)), null);
  assertEquals(ratio(archive(last)), null);
  const shrunk = judge([archive(old), archive(last, { bytes: 49 })]);
  assertEquals([shrunk.state, shrunk.problems], ["warning", ["shrunk to 49 %"]]);
});

Deno.test("row 50: an empty archive is shrunk, also if the one before is empty", () => {
  const real = archive("2025-03-30T12:00", { kind: "tar.zst" });
  const empty = ["10:00:00", "10:00:01", "10:00:02"].map((time) =>
    archive(`2025-03-31T${time}`, { bytes: 0 })
  );
  for (const count of [1, 2, 3]) {
    const { state, sizeRatio } = judge([real, ...empty.slice(0, count)]);
    assertEquals([state, sizeRatio], ["warning", 0]);
  }
  // It does not excuse a real one that has shrunk either.
  const shrunk = archive("2025-03-31T11:00", { kind: "tar.zst", bytes: 10 });
  assertEquals(judge([real, ...empty, shrunk]).sizeRatio, 0.1);
  // What never held anything, such as the archives of noop, has not shrunk.
  assertEquals(judge(empty).state, "ok");
});

Deno.test("torn uploads and a future date warn, foreign files do not", () => {
  const fine = archive("2025-03-31T11:00");
  assertEquals(judge([fine], { torn: 1 }).state, "warning");
  assertEquals(judge([fine], { foreign: ["notes"] }).state, "ok");
  const future = archive("2026-01-01T00:00", { state: "dated in the future" });
  const status = judge([fine, future]);
  assertEquals([status.state, status.newest], ["warning", fine]);
  assertEquals(judge([]).state, "critical");
});

Deno.test("a folder that cannot be read is unknown", () => {
  const status = assess({ kind: "unreadable", folder: "/b/web", reason: "why" }, now, limits);
  assertEquals([status.machine, status.state, status.problems], ["web", "unknown", ["why"]]);
});

Deno.test("critical is worse than unknown, and that than a warning", () => {
  assertEquals(worst([]), "ok");
  assertEquals(worst(["ok", "warning"]), "warning");
  assertEquals(worst(["warning", "unknown", "ok"]), "unknown");
  assertEquals(worst(["critical", "unknown"]), "critical");
});
