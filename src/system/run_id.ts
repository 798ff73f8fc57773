import { randomBytes } from "node:crypto";
import { digest } from "./digest.ts";

/**
 * Run ids mark all that a run makes (uploads under way, temporary folders, snapshots), so that the
 * next run knows by name what a killed one has left: `20261123T084405Z-MACHINE-TARGET-RANDOM`, where
 * MACHINE stands for this machine and user (see Identity) and TARGET for the destination, both as
 * eight hexadecimal digits of a SHA-256. One run at a time holds the lock of MACHINE and TARGET.
 */
export type RunId = string;

const pattern = /^\d{8}T\d{6}Z-([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]{8}$/;

/** Whom a run id names. */
export interface RunOwner {
  readonly machine: string;
  readonly target: string;
}

/** A new run id for this machine and the given destination. */
export function newRunId(owner: RunOwner): RunId {
  const time = Temporal.Now.instant().toString({ smallestUnit: "second" }).replaceAll(/[-:]/g, "");
  return `${time}-${owner.machine}-${owner.target}-${randomBytes(4).toString("hex")}`;
}

/** Whom a run id names; undefined if the text is no run id. */
export function runOwner(id: string): RunOwner | undefined {
  const [, machine, target] = pattern.exec(id) ?? [];
  return machine === undefined || target === undefined ? undefined : { machine, target };
}

/** True if both ids are of the same machine, user and destination. */
export function isSameOwner(a: RunId, b: RunId): boolean {
  const [left, right] = [runOwner(a), runOwner(b)];
  return left !== undefined && left.machine === right?.machine && left.target === right.target;
}

/**
 * The owner of the runs of a machine and user to a destination.
 *
 * @param machine see Identity
 * @param destination see describeDestination()
 */
export function ownerOf(machine: string, destination: string): RunOwner {
  return { machine, target: digest(destination) };
}
