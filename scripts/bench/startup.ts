import { fromRoot } from "../../tests/support/folders.ts";
import { run } from "./command.ts";
import { type Contestant, formatTime, ratioOf, takeTurns } from "./measure.ts";
import type { Benchmark } from "./mod.ts";

/** One start is short, and so are the breaks that the machine makes: many rounds are cheap. */
const roundsPerRound = 6;

/** How long it takes until a program that does next to nothing has ended. */
export const startup: Benchmark = {
  name: "startup",
  summary: "plasma --version against an empty Deno program",
  async run(workshop, report) {
    const empty = `${workshop.folder}/empty.ts`;
    await Deno.writeTextFile(empty, "export {};\n");
    const deno = Deno.execPath();
    const start = (...command: string[]): Contestant => ({
      run: () => run(command, workshop),
    });
    const flags = ["--quiet", "--no-prompt", "--frozen", "--config", fromRoot("deno.json"), "-P"];
    const compiled = Deno.env.get("PLASMA_BIN");
    const contestants: Record<string, Contestant> = {
      empty: start(deno, "run", "--quiet", empty),
      "scripts/plasma": start(fromRoot("scripts/plasma"), "--version"),
      "deno run main.ts": start(deno, "run", ...flags, fromRoot("main.ts"), "--version"),
      ...(compiled === undefined ? {} : { "PLASMA_BIN": start(compiled, "--version") }),
    };
    const rounds = workshop.rounds * roundsPerRound;
    const times = await takeTurns({ ...workshop, rounds }, contestants);
    for (const [name, seconds] of Object.entries(times)) {
      if (name === "empty") continue;
      report({
        what: `start-up of ${name}`,
        plasma: formatTime(seconds),
        other: `empty Deno program ${formatTime(times.empty!)}`,
        ratio: ratioOf(seconds, times.empty!),
        goal: "2",
      });
    }
  },
};
