import { type AgentConfig, agentConfigPlaces, agentSchema } from "../config/agent.ts";
import { type Destination, destinationOf } from "../config/destination.ts";
import { loadConfig } from "../config/load.ts";
import { isNotFound, UsageError } from "../errors.ts";
import { digest } from "../system/digest.ts";
import { requireTrusted } from "../system/trusted.ts";

/** What a run is to do. */
export interface Settings {
  readonly config: AgentConfig;
  /** The path of the config; undefined for a run without one. */
  readonly file?: string;
  readonly destination: Destination;
}

/**
 * The settings of a config file. Whoever uses them calls {@link requireTrustedFiles}: a run has hooks
 * that are to hear of it.
 *
 * @param file undefined for the first of the usual places that exists
 * @throws {ConfigError | UsageError} all faults of the config at once
 */
export async function loadSettings(file: string | undefined): Promise<Settings> {
  const path = file ?? await findConfig();
  requireTrusted(fromHere(path), "config", "the config");
  const config = await loadConfig(path, agentSchema);
  return { config, file: fromHere(path), destination: destinationOf(config) };
}

/**
 * Make sure that nobody else can change the files that a config names: for whom archives are
 * encrypted, and how the storage host is reached and known.
 *
 * @throws {UsageError} that names the part of a path which others could change, and its owner
 */
export function requireTrustedFiles({ encryption, ssh }: Partial<AgentConfig>): void {
  const files = {
    "encryption.recipientsFile": encryption?.recipientsFile,
    "ssh.identityFile": ssh?.identityFile,
    "ssh.knownHostsFile": ssh?.knownHostsFile,
  };
  for (const [key, file] of Object.entries(files)) {
    if (file !== undefined) requireTrusted(fromHere(file), "config", key);
  }
}

/** A relative path means the caller's folder; ".." is left to be resolved as the kernel does it. */
function fromHere(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

async function findConfig(): Promise<string> {
  for (const place of agentConfigPlaces) {
    try {
      await Deno.lstat(place);
      return place;
    } catch (error) {
      if (!isNotFound(error)) return place;
    }
  }
  throw new UsageError(
    "config",
    `there is no config: neither ${agentConfigPlaces.join(" nor ")}`,
    "write one, or name it with --config FILE, or back up without one: plasma backup --to DEST FOLDER",
  );
}

/**
 * Who stores: eight hexadecimal digits for the machine and user, and the config. Two configs are two
 * agents, and their archives do not belong into one folder; all runs without one are a third.
 */
export function agentOf(machine: string, { file = "" }: Settings): string {
  return digest(JSON.stringify([machine, file]));
}

/** What the run writes itself must not be archived: it would grow while it is read. */
export function ownPaths({ config, destination }: Settings): string[] {
  return [
    ...(config.tempfile === undefined ? [] : [config.tempfile]),
    ...(destination.kind === "local" ? [destination.folder] : []),
  ];
}
