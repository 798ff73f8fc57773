import type { AgentConfig } from "../config/agent.ts";
import type { Stage } from "../system/pipeline.ts";
import { compressionFilter, decompressor } from "./compression.ts";
import { decryptor, encryptionFilter } from "./encryption.ts";

/** Something that the bytes of an archive go through on their way to the store. */
export interface Filter {
  /** What it adds to the archive's name: ".zst", ".age". */
  readonly suffix: string;
  readonly encoder: Stage;
}

/**
 * The filters of a config in their order: compression, then encryption.
 *
 * @throws {PlasmaError} if a program is missing or a recipient is wrong
 */
export async function openFilters(
  { compression, encryption }: Pick<AgentConfig, "compression" | "encryption">,
): Promise<Filter[]> {
  const filters = [await compressionFilter(compression), await encryptionFilter(encryption)];
  return filters.filter((filter) => filter !== undefined);
}

/** The kind of an archive that has gone through filters, see ArchiveName. */
export function filteredKind(kind: string, filters: readonly Filter[]): string {
  return kind + filters.map(({ suffix }) => suffix).join("");
}

/**
 * The programs that make a plain tar of an archive again, in the order in which it goes through them.
 *
 * @param kind the kind of the archive: "tar.zst.age"
 * @param identity the file with the secret key, for an encrypted archive
 * @throws {UsageError} if the archive is encrypted and there is no identity
 */
export async function openDecoders(kind: string, identity: string | undefined): Promise<Stage[]> {
  const stages = [decryptor(kind, identity), await decompressor(kind)];
  return stages.filter((stage) => stage !== undefined);
}
