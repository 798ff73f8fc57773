import fs from "node:fs";
import { PlasmaError } from "../errors.ts";
import { brokenPipe, Programs, type Stage } from "../system/pipeline.ts";
import { PipeEnd } from "../system/named_pipe.ts";
import { writtenInAll, writtenSoFar } from "../system/written.ts";
import type { Sink } from "./attempt.ts";
import type { Run } from "./context.ts";
import { type TransferContext, TransferWatch } from "./transfer_watch.ts";

/** Whether a program may write to the store itself: it is not held back, and nothing comes between. */
export const maySendDirectly = ({ filters, config }: Run) =>
  filters.length === 0 && config.bandwidthLimit === undefined;

/** A shell that counts what its children write, see countingScript, and ends with them by SIGTERM. */
export interface CountingStage extends Stage {
  /** Where it leaves the count. */
  readonly countFile: string;
}

/** How often it is counted meanwhile, in milliseconds: for eyes, and where nobody looks. */
const looks = { terminal: 1_000, plain: 30_000 } as const;

/**
 * Let a program write into a sink itself, until it ends: no byte passes through us. It cannot be held
 * back, and its bytes are not hashed.
 *
 * @param folder a private folder
 * @param onBytes is told the sum of bytes now and then, and at the end, be it a failure
 * @returns warnings
 * @throws {PlasmaError} the root cause: the program that failed, or the sink's own words
 */
export async function sendDirectly(
  stage: CountingStage,
  sink: Sink,
  folder: string,
  context: TransferContext,
  onBytes: (bytes: number) => void,
): Promise<readonly string[]> {
  await using programs = await startInto(stage, sink, folder);
  const kill = () => {
    programs.kill("SIGTERM");
    sink.kill();
  };
  using watch = new TransferWatch(context, kill, onBytes);
  using _ = counting(programs.children[0]!.process.pid, context, watch);
  try {
    const warnings = await programs.finish();
    watch.throwIfEnded();
    return warnings;
  } catch (error) {
    watch.throwIfEnded();
    const isBroken = error instanceof PlasmaError && error.code === brokenPipe;
    throw (isBroken ? await sink.explain() : undefined) ?? error;
  } finally {
    const bytes = writtenInAll(stage.countFile);
    if (bytes !== undefined) watch.update(bytes);
  }
}

async function startInto(stage: Stage, sink: Sink, folder: string): Promise<Programs> {
  try {
    using end = new PipeEnd(fs.openSync(sink.sink, fs.constants.O_WRONLY));
    // Its input ends when we do, however that comes, see sendScript().
    const programs = await Programs.start([stage], folder, { stdin: "pipe", stdout: end.file });
    sink.onOpen();
    return programs;
  } catch (error) {
    // It would wait for the end of what never begins.
    sink.kill();
    throw error;
  }
}

/** Tell a watch what a program has written so far, again and again. */
function counting(
  pid: number | undefined,
  { log }: TransferContext,
  watch: TransferWatch,
): Disposable {
  let isBusy = false;
  const timer = setInterval(async () => {
    if (pid === undefined || isBusy) return;
    isBusy = true;
    const bytes = await writtenSoFar(pid).catch(() => undefined);
    if (isOver) return;
    isBusy = false;
    if (bytes !== undefined) watch.update(bytes);
  }, log.isTerminal ? looks.terminal : looks.plain);
  let isOver = false;
  return {
    [Symbol.dispose]() {
      isOver = true;
      clearInterval(timer);
    },
  };
}
