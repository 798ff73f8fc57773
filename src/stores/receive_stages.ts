import { receiveCommand } from "../btrfs/receive.ts";
import { PlasmaError } from "../errors.ts";
import { openDecoders } from "../filters/mod.ts";
import { makePrivateFolder } from "../system/durable.ts";
import { Consumer, Programs, type Stage, strictStage } from "../system/pipeline.ts";
import { describeExit } from "../system/process.ts";
import type { StorageFolder } from "./folder.ts";
import type { ReceiveBatch } from "./mod.ts";
import { tooLarge } from "./upload_limits.ts";

/** Start the programs that decompress streams, bound them and receive them in a folder. */
export async function startReceiving(
  storage: StorageFolder,
  { stream }: ReceiveBatch,
  { arriving, empty }: { readonly arriving: string; readonly empty: string },
  { pipes, lock, input, maxBytes }: {
    pipes: string;
    lock: number;
    input: number | undefined;
    maxBytes: number | undefined;
  },
): Promise<Programs | Consumer> {
  const scratch = `${pipes}/mounts`;
  makePrivateFolder(scratch);
  const places = { target: arriving, storage: storage.path, empty, scratch };
  const stages = [
    ...await openDecoders(stream, undefined),
    ...(maxBytes === undefined ? [] : [sizeStage(maxBytes)]),
    receiveStage(places),
  ];
  // Whoever wants to remove the upload waits for the lock, and so for the end of `btrfs receive`.
  if (input === undefined) return await Consumer.start(stages, pipes, lock);
  return await Programs.start(stages, pipes, { stdin: input, stdout: lock });
}

/** Lets so many bytes through, and fails if there are more. */
function sizeStage(maxBytes: number): Stage {
  const script = 'head -c "$1"; [ "$(head -c 1 | wc -c)" -eq 0 ] || exit 75';
  return {
    command: { program: "sh", args: ["-c", script, "sh", String(maxBytes)] },
    judge(exit) {
      if (exit.code === 0) return [];
      if (exit.code === 75) throw tooLarge({ maxBytes });
      throw new PlasmaError("receive", `the limit of the size ${describeExit(exit)}`);
    },
  };
}

function receiveStage(places: Parameters<typeof receiveCommand>[0]): Stage {
  const { command, judge } = strictStage(receiveCommand(places), "receive");
  return {
    command,
    judge: (exit, messages) => judge(exit, messages.filter((line) => !/^Chroot to /.test(line))),
  };
}
