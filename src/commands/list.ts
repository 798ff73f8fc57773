import { parseCommandLine } from "../cli/args.ts";
import { findStore, storeFlags, storeFlagsHelp } from "../cli/find_store.ts";
import { print, printJson, table } from "../cli/output.ts";
import { ExitStatus } from "../exit_status.ts";
import { Log } from "../system/log.ts";
import { formatBytes } from "../system/progress.ts";

export const help = `plasma list [--config FILE | --from DEST] [--json]

Show the archives of a storage folder, the newest last: name, time (local time of the
storage host), label, kind, size and state, which is what \`plasma verify\` has found, if it found something.

${storeFlagsHelp}
  --json         print {"store", "archives": [...], "foreign": [...]}`;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("list", args, { values: storeFlags });
  await using store = await findStore(line);
  const { archives, foreign, problem } = await store.list();
  if (line.has("json")) {
    printJson({ store: store.name, archives, foreign, problem });
    return ExitStatus.Done;
  }
  const rows = archives.map(({ name, time, label, kind, bytes, state, finding }) => [
    name,
    time.replace("T", " "),
    label,
    kind,
    formatBytes(bytes),
    finding ?? state,
  ]);
  if (rows.length > 0) print(table(rows, [4]));
  const log = new Log(line.log);
  if (rows.length === 0) log.info(`no archives in ${store.name}`);
  if (foreign.length > 0) log.info(`not archives: ${foreign.join(", ")}`);
  if (problem !== undefined) log.warning(problem);
  return ExitStatus.Done;
}
