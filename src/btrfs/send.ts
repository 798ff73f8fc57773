import { type Command, run } from "../system/process.ts";
import { type Stage, strictStage } from "../system/pipeline.ts";

/** What is to be sent, and what the other side has already. */
export interface SendOrder {
  /** The path of a read-only snapshot. */
  readonly snapshot: string;
  /** The path of a snapshot that the other side has; without one everything is sent. */
  readonly parent: string | undefined;
  /** Further snapshots that the other side has; extents that they share are not sent. */
  readonly cloneSources: readonly string[];
  /** Hand on extents as they are compressed on the disk (protocol 2). */
  readonly compressedData: boolean;
}

/** The program that sends a snapshot to its standard output. */
export function sendStage(order: SendOrder): Stage {
  const { snapshot, parent, cloneSources, compressedData } = order;
  const command: Command = {
    program: "btrfs",
    args: [
      "send",
      "--quiet",
      ...(compressedData ? ["--proto", "2", "--compressed-data"] : []),
      ...(parent === undefined ? [] : ["-p", parent]),
      ...(parent === undefined ? [] : cloneSources.flatMap((source) => ["-c", source])),
      "--",
      snapshot,
    ],
  };
  return strictStage(command, "send");
}

/**
 * Whether this machine can send compressed extents as they are: btrfs-progs 6.0 and Linux 6.0 can,
 * see btrfs-send(8).
 */
export async function canSendCompressedData(): Promise<boolean> {
  const feature = "/sys/fs/btrfs/features/send_stream_version";
  const kernel = await run({ program: "cat", args: [feature] });
  const isNew = kernel.exit.code === 0 &&
    Number(new TextDecoder().decode(kernel.stdout).trim()) >= 2;
  return isNew && await helpMentions("send", "--compressed-data");
}

/** Whether this machine can receive compressed extents. */
export function canReceiveCompressedData(): Promise<boolean> {
  return helpMentions("receive", "--force-decompress");
}

async function helpMentions(command: "send" | "receive", flag: string): Promise<boolean> {
  const { stdout } = await run({ program: "btrfs", args: [command, "--help"] });
  return new TextDecoder().decode(stdout).includes(flag);
}
