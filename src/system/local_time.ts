import { PlasmaError } from "../errors.ts";
import { environmentVariable } from "./environment.ts";
import { run } from "./process.ts";

/**
 * The local time, as date(1) shows it. Deno's library for dates knows the zones by their names, and takes
 * what it does not know for UTC without a word: `TZ=JST-9`, a file of one's own as /etc/localtime, a
 * machine without tzdata.
 */
export async function localNow(): Promise<Temporal.ZonedDateTime> {
  return Temporal.Now.zonedDateTimeISO(await (zone ??= localZone()));
}

/** A zone does not change while the program runs. */
let zone: Promise<string> | undefined;

async function localZone(): Promise<string> {
  // An empty TZ is no zone to Temporal.
  if (isUtc()) return "UTC";
  const known = Temporal.Now.timeZoneId();
  // Not what it makes of "GMT+2", which is two hours in the other direction.
  if (known.includes("/")) return known;
  const { exit, stdout, messages } = await run({ program: "sh", args: ["-c", "date +%:z"] });
  const [offset] = /^[+-]\d\d:\d\d(?=\n)/.exec(new TextDecoder().decode(stdout)) ?? [];
  if (exit.code === 0 && offset !== undefined) return offset;
  throw new PlasmaError("start", `date(1) does not tell the local time: ${messages.tail}`, {
    remedy: "look at TZ and /etc/localtime",
  });
}

/** Whether it is meant so. */
function isUtc(): boolean {
  const given = environmentVariable("TZ");
  if (given !== undefined) return /^:?(?:Etc\/)?(?:UTC0?|GMT0?|Zulu)?$/i.test(given);
  try {
    return /\/(?:UTC|Etc\/UTC|UCT|Zulu|GMT)$/.test(Deno.readLinkSync("/etc/localtime"));
  } catch {
    return false;
  }
}
