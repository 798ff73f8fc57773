import { type AgentConfig, agentConfigPlaces, agentSchema } from "../config/agent.ts";
import { type Destination, destinationOf } from "../config/destination.ts";
import { loadConfig } from "../config/load.ts";
import { isNotFound, UsageError } from "../errors.ts";

/** What a run is to do. */
export interface Settings {
  readonly config: AgentConfig;
  readonly destination: Destination;
}

/**
 * The settings of a config file.
 *
 * @param file undefined for the first of the usual places that exists
 * @throws {ConfigError | UsageError} all faults of the config at once
 */
export async function loadSettings(file: string | undefined): Promise<Settings> {
  const config = await loadConfig(file ?? await findConfig(), agentSchema);
  return { config, destination: destinationOf(config) };
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

/** What the run writes itself must not be archived: it would grow while it is read. */
export function ownPaths({ config, destination }: Settings): string[] {
  return [
    ...(config.tempfile === undefined ? [] : [config.tempfile]),
    ...(destination.kind === "local" ? [destination.folder] : []),
  ];
}
