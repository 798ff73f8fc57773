import type { Destination } from "../config/destination.ts";
import { requireTool } from "../system/tools.ts";

/** What every run starts; missing ones are found before anything is run. */
const tools = ["cat", "flock", "mkfifo", "setsid", "sh", "timeout"] as const;

/** @throws {UsageError} that names a program which is missing, and its package */
export async function requireRunTools(destination: Destination): Promise<void> {
  for (const tool of tools) await requireTool(tool);
  if (destination.kind === "ssh") await requireTool("ssh");
}
