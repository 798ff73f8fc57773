import { plasmaProgram } from "../../tests/support/plasma.ts";
import { bash, run } from "./command.ts";
import { formatTime, ratioOf, takeTurns } from "./measure.ts";
import type { Benchmark, Workshop } from "./mod.ts";

const count = 100_000;

/** Rotating a folder with very many archives. */
export const rotation: Benchmark = {
  name: "rotation",
  summary: `rotate a folder of ${count} archives, against a find that lists or deletes as many`,
  async run(workshop, report) {
    const folder = `${workshop.folder}/many`;
    const fill = () => makeArchives(folder, workshop);
    const rotate = (...flags: string[]) =>
      run([plasmaProgram, "rotate", "--quiet", ...flags, folder], workshop);
    const find = (action: string) =>
      bash(`find "$1" -name '*.tar' -type f ${action} >/dev/null`, [folder], workshop);

    await fill();
    const dry = await takeTurns(workshop, {
      plasma: { run: () => rotate("--dry-run") },
      find: { run: () => find("-print") },
    });
    report({
      what: `rotate --dry-run, ${count} archives`,
      plasma: formatTime(dry.plasma),
      other: `find -print ${formatTime(dry.find)}`,
      ratio: ratioOf(dry.plasma, dry.find),
      goal: "about 1 s",
    });
    // To make the files takes longer than to measure.
    const rounds = Math.min(workshop.rounds, 3);
    const real = await takeTurns({ ...workshop, rounds }, {
      plasma: { prepare: fill, run: () => rotate() },
      find: { prepare: fill, run: () => find("-delete") },
    });
    report({
      what: `rotate, ${count} archives`,
      plasma: formatTime(real.plasma),
      other: `find -delete ${formatTime(real.find)}`,
      ratio: ratioOf(real.plasma, real.find),
      goal: "about 1 s",
    });
  },
};

/** Empty files with the names of archives, one for each hour up to now. */
async function makeArchives(folder: string, { signal }: Workshop): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder);
  await Deno.writeTextFile(
    `${folder}/plasma-rotate.json`,
    '{"policy": {"daily": 5, "weekly": 3, "monthly": 2}}',
  );
  const last = Temporal.Now.plainDateTimeISO();
  for (let hours = 0; hours < count; hours++) {
    if (hours % 1000 === 0) signal.throwIfAborted();
    const time = last.subtract({ hours });
    const digits = (value: number) => String(value).padStart(2, "0");
    const date = `${time.year}${digits(time.month)}${digits(time.day)}`;
    const label = time.day === 1 ? "monthly" : time.dayOfWeek === 1 ? "weekly" : "daily";
    const name = `${date}-${digits(time.hour)}${digits(time.minute)}-${label}.tar`;
    Deno.openSync(`${folder}/${name}`, { write: true, createNew: true }).close();
  }
  await run(["sync"], { signal });
}
