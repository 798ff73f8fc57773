import fs from "node:fs";
import { PlasmaError } from "../errors.ts";
import { NamedPipe } from "./named_pipe.ts";
import { type Child, type Command, describeExit, type Exit, start } from "./process.ts";

/** A member of a pipeline, and how its end is judged. */
export interface Stage {
  readonly command: Command;
  /**
   * Judge the end of the program. Returns warnings.
   *
   * @throws {PlasmaError} if its output is not usable
   */
  judge(exit: Exit, messages: readonly string[]): readonly string[];
}

/** The judgement for programs that have no warnings: all but status 0 is a failure. */
export function judgeStrictly(program: string): Stage["judge"] {
  return (exit, messages) => {
    if (exit.code === 0) return [];
    const words = messages.length === 0 ? "" : `: ${messages.slice(-3).join(" / ")}`;
    throw new PlasmaError("archive", `${program} ${describeExit(exit)}${words}`, {
      code: "source",
    });
  };
}

/**
 * Programs joined by kernel pipes; the last one's output can be read at `path`.
 *
 * The end of the data alone says nothing: only when {@link finish} has returned they are all there.
 */
export class Pipeline implements AsyncDisposable {
  private constructor(
    readonly stages: readonly Stage[],
    readonly children: readonly Child[],
    readonly output: NamedPipe,
  ) {}

  /** @param folder a private folder for the pipes */
  static async start(stages: readonly Stage[], folder: string): Promise<Pipeline> {
    const pipes = await NamedPipe.make(folder, stages.map((_, index) => `stage${index}`));
    const children: Child[] = [];
    try {
      for (const [index, { command }] of stages.entries()) {
        const input = index === 0 ? undefined : pipes[index - 1]!.open("r");
        const output = pipes[index]!.open("w");
        try {
          children.push(await start(command, { stdin: input ?? "ignore", stdout: output }));
        } finally {
          fs.closeSync(output);
          if (input !== undefined) fs.closeSync(input);
        }
        if (index > 0) pipes[index - 1]!.release();
      }
      return new Pipeline(stages, children, pipes.at(-1)!);
    } catch (error) {
      for (const child of children) child.kill("SIGKILL");
      for (const pipe of pipes) pipe[Symbol.dispose]();
      throw error;
    }
  }

  get path(): string {
    return this.output.path;
  }

  /** The reader has opened the output. */
  onOpen(): void {
    this.output.release();
  }

  /**
   * The output has been read to its end: wait for the programs and judge them.
   *
   * @returns the warnings of all stages
   * @throws {PlasmaError} the root cause, if one failed: a program that dies takes those before it
   * along by SIGPIPE, so the last one that failed by itself is the one to blame
   */
  async finish(): Promise<string[]> {
    const exits = await Promise.all(this.children.map(({ exited }) => exited));
    const warnings: string[] = [];
    let failure: { error: unknown; byPipe: boolean } | undefined;
    for (const [index, exit] of exits.entries()) {
      try {
        warnings.push(...this.stages[index]!.judge(exit, this.children[index]!.messages.lines));
      } catch (error) {
        const byPipe = exit.signal === "SIGPIPE";
        if (failure === undefined || failure.byPipe) failure = { error, byPipe };
      }
    }
    if (failure !== undefined) throw failure.error;
    return warnings;
  }

  /** End all programs. */
  kill(): void {
    for (const child of this.children) child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    this.output[Symbol.dispose]();
    await Promise.all(this.children.map(({ exited }) => exited));
  }
}
