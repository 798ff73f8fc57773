/** What a test needs that not every machine has. */
export type Need = "root" | `program ${string}`;

/**
 * Register a test that needs something special. Where that is missing the test is ignored and says
 * why, and with PLASMA_TEST_DISALLOW_SKIP=1 it fails.
 */
export function testThatNeeds(
  needs: readonly Need[],
  name: string,
  run: () => Promise<void> | void,
) {
  const missing = needs.filter((need) => !isThere(need));
  if (missing.length === 0) {
    Deno.test(name, run);
    return;
  }
  const why = `${name} (needs ${missing.join(", ")})`;
  if (Deno.env.get("PLASMA_TEST_DISALLOW_SKIP") === "1") {
    Deno.test(name, () => {
      throw new Error(`skipped although skipping is not allowed: ${why}`);
    });
  } else {
    Deno.test({ name: why, ignore: true, fn: run });
  }
}

function isThere(need: Need): boolean {
  if (need === "root") return Deno.uid() === 0;
  const program = need.slice("program ".length);
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}
