import fs from "node:fs";
import * as v from "valibot";
import { openPrivate } from "../system/durable.ts";
import { manifestName, recordSchema, type SubvolumeRecord } from "./manifest.ts";

/** What has come for an upload of subvolumes: a file in its folder, a line for each. */
export const recordsName = "received.jsonl";

/** Note that subvolumes have come. */
export function appendRecords(folder: string, records: readonly SubvolumeRecord[]): void {
  if (records.length === 0) return;
  const file = openPrivate(`${folder}/${recordsName}`);
  try {
    const lines = records.map((record) => JSON.stringify(record) + "\n").join("");
    const bytes = new TextEncoder().encode(lines);
    let at = fs.fstatSync(file).size;
    for (let offset = 0; offset < bytes.length;) {
      const count = fs.writeSync(file, bytes, offset, bytes.length - offset, at);
      offset += count;
      at += count;
    }
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

/** The folder of an upload in which subvolumes arrive. */
export const arrivingFolder = (folder: string) => `${folder}/in`;

/**
 * What has come for an upload; undefined if that is unknown, or if other things lie there too. What a
 * commit that was cut short has put there does not count.
 */
export function readRecords(folder: string): readonly SubvolumeRecord[] | undefined {
  const records = readLines(folder);
  if (records === undefined) return undefined;
  const names = new Set(records.map(({ name }) => name));
  for (const { name, isDirectory } of Deno.readDirSync(arrivingFolder(folder))) {
    if (name === manifestName) continue;
    if (!isDirectory || !names.delete(name)) return undefined;
  }
  return names.size === 0 ? records : undefined;
}

/** The records alone; undefined if there are none. */
export function readLines(folder: string): SubvolumeRecord[] | undefined {
  try {
    const lines = Deno.readTextFileSync(`${folder}/${recordsName}`).trimEnd().split("\n");
    return lines.map((line) => v.parse(recordSchema, JSON.parse(line)));
  } catch {
    return undefined;
  }
}
