import { assertThrows } from "@std/assert";
import type { GenericSchema } from "valibot";
import { ConfigError, parseConfig } from "../../../src/config/load.ts";

/** The content of a config: a text, bytes, or a value that is written as JSON. */
export function bytesOf(content: unknown): Uint8Array {
  if (content instanceof Uint8Array) return content;
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return new TextEncoder().encode(text);
}

/** All the faults of a config that is refused. */
export function faultsOf(content: unknown, schema: GenericSchema): readonly string[] {
  const error: ConfigError = assertThrows(
    () => parseConfig("file.json", bytesOf(content), schema),
    ConfigError,
  );
  return error.faults;
}
