import type { Destination } from "../config/destination.ts";
import { PlasmaError } from "../errors.ts";
import { withinSeconds } from "../system/mounts.ts";
import { run } from "../system/process.ts";
import { requireTool } from "../system/tools.ts";

/** How long a storage folder on this machine may take for an answer, in seconds. */
const patienceSeconds = 30;

/**
 * Make sure that a storage folder on this machine answers: where the server of a network filesystem is
 * gone, whoever touches it waits for ever.
 */
export async function requireAnswer(destination: Destination): Promise<void> {
  if (destination.kind !== "local") return;
  const { folder } = destination;
  const command = { program: "sh", args: ["-c", '[ -d "$1" ]', "sh", folder] };
  // What waits there may not even end when it is killed.
  const probe = run(command, { timeoutSeconds: patienceSeconds }).then(({ timedOut }) => !timedOut);
  if (await withinSeconds(probe, patienceSeconds, false)) return;
  throw new PlasmaError("storage", `${folder} does not answer for ${patienceSeconds} s`, {
    remedy: "look at its mount, and whether the server behind it is up",
  });
}

/** What every run starts; missing ones are found before anything is run. */
const tools = ["cat", "flock", "mkfifo", "setsid", "sh", "timeout"] as const;

/** @throws {UsageError} that names a program which is missing, and its package */
export async function requireRunTools(destination: Destination): Promise<void> {
  for (const tool of tools) await requireTool(tool);
  if (destination.kind === "ssh") await requireTool("ssh");
}
