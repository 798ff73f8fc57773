import { run } from "../system/process.ts";
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
  return strictStage({ program: "btrfs", args: sendArguments(order) }, "send");
}

function sendArguments({ snapshot, parent, cloneSources, compressedData }: SendOrder): string[] {
  return [
    "send",
    "--quiet",
    ...(compressedData ? ["--proto", "2", "--compressed-data"] : []),
    ...(parent === undefined ? [] : ["-p", parent]),
    ...(parent === undefined ? [] : cloneSources.flatMap((source) => ["-c", source])),
    "--",
    snapshot,
  ];
}

/**
 * A script for sh(1) that sends snapshots one after the other, and stops at the first that fails. A
 * file and not a command line: there may be thousands.
 *
 * By SIGTERM, and by what a terminal sends, it ends at once, and with it what is being sent, which
 * ignores SIGINT in the background: as long as that goes on its snapshot cannot be deleted. If its
 * standard input is a pipe it ends with that, too: whoever holds the other end may be killed.
 */
export function sendScript(orders: readonly SendOrder[]): string {
  const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
  const lines = orders.map((order) =>
    `btrfs ${sendArguments(order).map(quote).join(" ")} & wait $! || exit\n`
  );
  return `trap 'kill -KILL $! 2>/dev/null; exit 143' TERM INT HUP QUIT\n${watchScript}${
    lines.join("")
  }`;
}

/** When it sees the end the shell may be gone, and its number be that of another process. */
const watchScript = `
if [ -p /dev/stdin ]; then
  exec 3<&0
  (
    read -r _ <&3
    read -r _ _ _ parent _ </proc/self/stat
    [ "$parent" != $$ ] || kill -TERM $$
  ) >/dev/null 2>&1 &
  exec 3<&-
fi
`;

/**
 * Whether this machine can send compressed extents as they are: btrfs-progs 6.0 and Linux 6.0 can,
 * see btrfs-send(8).
 */
export async function canSendCompressedData(): Promise<boolean> {
  const feature = "/sys/fs/btrfs/features/send_stream_version";
  const [kernel, isMentioned] = await Promise.all([
    run({ program: "cat", args: [feature] }),
    helpMentions("send", "--compressed-data"),
  ]);
  const version = Number(new TextDecoder().decode(kernel.stdout).trim());
  return kernel.exit.code === 0 && version >= 2 && isMentioned;
}

/** Whether this machine can receive compressed extents, which it unpacks. */
export function canReceiveCompressedData(): Promise<boolean> {
  return helpMentions("receive", "--force-decompress");
}

async function helpMentions(command: "send" | "receive", flag: string): Promise<boolean> {
  const { stdout } = await run({ program: "btrfs", args: [command, "--help"] });
  return new TextDecoder().decode(stdout).includes(flag);
}
