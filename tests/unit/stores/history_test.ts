import { assertEquals } from "@std/assert";
import { isShared, type StoredEntry } from "../../../src/stores/history.ts";

const now = Temporal.Instant.from("2025-01-31T12:00:00Z");

/** What agents have stored, one a day until yesterday; "-" is a day without. */
function nights(agents: string): StoredEntry[] {
  return [...agents].reverse().flatMap((agent, days) => {
    const time = now.subtract({ hours: 24 * (days + 1) }).toString({ smallestUnit: "second" });
    return agent === "-" ? [] : [{ name: `archive of ${time}`, bytes: 1, agent, time }];
  });
}

Deno.test("row 72: two agents that store by turns share a folder", () => {
  for (
    const [agents, shared] of Object.entries({
      "": false,
      AAAA: false,
      AAAB: false,
      AABB: false,
      ABAB: true,
      AAABA: true,
      "A-B-A": true,
      [`ABA${"A".repeat(20)}`]: false,
    })
  ) {
    assertEquals(isShared(nights(agents), now), shared, agents);
  }
});

Deno.test("row 72: who is about to store is told before it happens", () => {
  for (
    const [agents, asking, shared] of [
      ["AAA", "A", false],
      ["AAA", "B", true],
      ["AAAB", "A", true],
      ["AAAB", "B", false],
      ["AAA", "A", false],
      ["AAA---", "B", false],
      ["", "A", false],
    ] as const
  ) {
    assertEquals(isShared(nights(agents), now, asking), shared, `${agents} ${asking}`);
  }
});
