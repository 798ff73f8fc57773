import { loadSettings, requireTrustedFiles } from "../backup/settings.ts";
import { type Destination, parseDestination } from "../config/destination.ts";
import { UsageError } from "../errors.ts";
import { openStore, type Store, type StoreContext } from "../stores/mod.ts";
import { Log } from "../system/log.ts";
import type { Arguments } from "./args.ts";

/** The flags by which commands that read a storage find it. */
export const storeFlags = ["config", "from", "identity-file", "known-hosts-file", "ssh-command"];

export const storeFlagsHelp =
  `  --from DEST    the storage: /folder, user@host:/folder, ssh://user@host:port/folder
  --config FILE  the agent's config that names it (default: /etc/plasma-agent.json ...)
  --identity-file FILE, --known-hosts-file FILE, --ssh-command PROGRAM
                 for --from over SSH, as in the config's "ssh"`;

/** Open the storage that a command line or a config names; for commands without arguments. */
export async function findStore(line: Arguments): Promise<Store> {
  if (line.positional.length > 0) {
    throw new UsageError(
      "command line",
      `unexpected argument "${line.positional[0]}"`,
      "name the storage with --from DEST",
    );
  }
  return await openFoundStore(line);
}

/** Open the storage that a command line or a config names. */
export async function openFoundStore(line: Arguments, context: StoreContext = {}): Promise<Store> {
  const tell = (words: string) => new Log(line.log).info(words);
  return await openStore(await findDestination(line), { tell, ...context });
}

/** The destination that a command line or a config names. */
export async function findDestination(line: Arguments): Promise<Destination> {
  const [from, config] = [line.value("from"), line.value("config")];
  if (from !== undefined && config !== undefined) {
    throw new UsageError("command line", "--from and --config exclude each other");
  }
  if (from === undefined) {
    const settings = await loadSettings(config);
    requireTrustedFiles(settings.config);
    return settings.destination;
  }
  return withSshFlags(parseDestination(from, Deno.cwd()), line);
}

/** Complete a destination of the command line with the flags for SSH. */
export function withSshFlags(destination: Destination, line: Arguments): Destination {
  const flags = {
    identityFile: line.value("identity-file"),
    knownHostsFile: line.value("known-hosts-file"),
    command: line.value("ssh-command"),
  };
  const given = Object.fromEntries(
    Object.entries(flags).filter(([, value]) => value !== undefined),
  );
  if (Object.keys(given).length === 0) return destination;
  if (destination.kind === "local") {
    throw new UsageError("command line", "flags for SSH, but the storage is a local folder");
  }
  const ssh = { ...destination.ssh, ...given };
  requireTrustedFiles({ ssh });
  return { ...destination, ssh };
}
