import { type Arguments, parseCommandLine } from "../cli/args.ts";
import { openFoundStore, storeFlags, storeFlagsHelp } from "../cli/find_store.ts";
import { printJson } from "../cli/output.ts";
import { Signals } from "../cli/signals.ts";
import { resolvePath } from "../config/destination.ts";
import { UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { chooseArchive } from "../restore/choose.ts";
import { isSubvolumeArchive } from "../rotation/archive_name.ts";
import { restore, type RestoreOrder } from "../restore/restore.ts";
import { Log } from "../system/log.ts";
import { formatBytes } from "../system/progress.ts";
import { PipeFolder } from "../system/runtime_folder.ts";

export const help = `plasma restore NAME|latest [PATH...] --target DIR

Unpack an archive, or only the named PATHs of it (a folder brings all below it), and check
that it is what was stored. NAME may be the beginning of a name, if only one fits.

  --target DIR      a new or an empty folder; - writes the plain tar to standard output
  --into-existing   also into a folder that is not empty, even /; what is in both is overwritten
  --untrusted       leave out what gives rights: setuid and setgid bits, capabilities, devices
  --dry-run         only list what would be unpacked (and check the archive)
  --identity FILE   the secret key, for an archive that is encrypted with age
  --json            print the result as JSON: archive, bytes, sha256, proven, warnings

${storeFlagsHelp}`;

export async function run(args: readonly string[]): Promise<ExitStatus> {
  const line = parseCommandLine("restore", args, {
    switches: ["dry-run", "into-existing", "untrusted"],
    values: [...storeFlags, "target", "identity"],
  });
  const [word, ...paths] = line.positional;
  if (word === undefined) {
    throw new UsageError("command line", "no archive to restore", "say latest, or see plasma list");
  }
  const purpose = purposeOf(line);
  const identity = line.value("identity");
  const log = new Log(line.log);
  const signals = new Signals();
  try {
    const signal = signals.first;
    await using folder = await PipeFolder.make();
    await using store = await openFoundStore(line, {
      signal,
      folder: folder.path,
      purpose: "restore",
    });
    const archive = chooseArchive(word, await store.list(), store.name);
    if (archive.finding !== undefined) {
      log.warning(
        `plasma verify has found that ${archive.name} is ${
          wordsFor[archive.finding] ?? archive.finding
        }`,
      );
    }
    const order: RestoreOrder = { archive, paths, purpose, identity };
    const result = await restore(store, order, { log, signal, folder: folder.path });
    for (const warning of result.warnings) log.warning(warning);
    const { bytes, sha256, isProven } = result;
    if (line.has("json") && purpose.kind === "unpack") {
      printJson({
        archive: archive.name,
        bytes,
        sha256,
        proven: isProven,
        warnings: result.warnings,
      });
    }
    const what = `${archive.name} (${formatBytes(bytes)})`;
    if (isSubvolumeArchive(archive.name)) log.success(`${archive.name} was read without an error`);
    else if (isProven) log.success(`${what} is what was stored: its SHA-256 is as recorded`);
    else log.warning(`${what} has no checksum file: nobody can say whether it is what was stored`);
    return ExitStatus.Done;
  } finally {
    signals.stop();
  }
}

const wordsFor: Readonly<Record<string, string>> = { "no checksum": "without a checksum" };

function purposeOf(line: Arguments): RestoreOrder["purpose"] {
  const target = line.value("target");
  if (line.has("dry-run")) return { kind: "list" };
  if (target === undefined) {
    throw new UsageError("command line", "nowhere to restore to", "say --target DIR");
  }
  if (target === "-") return { kind: "stream" };
  return {
    kind: "unpack",
    target: {
      path: resolvePath(target, Deno.cwd()),
      intoExisting: line.has("into-existing"),
      isUntrusted: line.has("untrusted"),
    },
  };
}
