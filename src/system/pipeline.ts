import fs from "node:fs";
import { PlasmaError } from "../errors.ts";
import type { Sorter } from "./messages.ts";
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
  /** See StartOptions. */
  readonly sort?: Sorter | undefined;
}

/** A stage that must end with status 0; `what` it does for the user, for the message. */
export function strictStage(command: Command, what: string): Stage {
  return {
    command,
    judge(exit, messages) {
      if (exit.code === 0) return [];
      const words = messages.length === 0 ? "" : `: ${withoutMostLines(messages).join(" / ")}`;
      throw new PlasmaError(what, `${command.program} ${describeExit(exit)}${words}`, {
        code: "source",
      });
    },
  };
}

/** The first one names the cause; names in it may have any number of lines, and its reason is the last. */
function withoutMostLines(lines: readonly string[]): readonly string[] {
  return lines.length <= 3 ? lines : [lines[0]!, "...", ...lines.slice(-2)];
}

/** The ends of a row of programs: open descriptors, or nothing. */
interface Ends {
  readonly stdin: number | "ignore" | "pipe";
  readonly stdout: number | "ignore" | "pipe";
}

/**
 * Programs joined by kernel pipes.
 *
 * The end of their data alone says nothing: only when {@link finish} has returned it is all there.
 */
export class Programs implements AsyncDisposable {
  readonly #stages: readonly Stage[];
  readonly children: readonly Child[];
  readonly #leftovers: readonly Promise<boolean>[];

  private constructor(
    stages: readonly Stage[],
    children: readonly Child[],
    leftovers: readonly Promise<boolean>[],
  ) {
    this.#stages = stages;
    this.children = children;
    this.#leftovers = leftovers;
  }

  /** @param folder a private folder for the pipes between the programs */
  static async start(stages: readonly Stage[], folder: string, ends: Ends): Promise<Programs> {
    const pipes = await NamedPipe.make(folder, stages.slice(1).map((_, index) => `join${index}`));
    const children: Child[] = [];
    const leftovers: Promise<boolean>[] = [];
    try {
      for (const [index, { command, sort }] of stages.entries()) {
        const [before, after] = [pipes[index - 1], pipes[index]];
        using input = before?.open("r");
        using output = after?.open("w");
        const child = await start(command, {
          stdin: input?.file ?? ends.stdin,
          stdout: output?.file ?? ends.stdout,
          sort,
        });
        children.push(child);
        leftovers.push(
          before === undefined ? Promise.resolve(false) : hasLeftover(before, child.exited),
        );
        before?.release();
      }
      return new Programs(stages, children, leftovers);
    } catch (error) {
      for (const child of children) child.kill("SIGKILL");
      for (const pipe of pipes) pipe[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Wait for the programs and judge them.
   *
   * @returns the warnings of all stages
   * @throws {PlasmaError} the root cause, if one failed: a program that dies takes those before it
   * along by SIGPIPE, so one that failed by itself is to blame. If none did, whoever was to read what
   * they write is: then it has the code {@link brokenPipe}
   */
  async finish(): Promise<string[]> {
    const exits = await Promise.all(this.children.map(({ exited }) => exited));
    const leftovers = await Promise.all(this.#leftovers);
    const warnings: string[] = [];
    const failures: { error: unknown; isKilled: boolean; byPipe: boolean }[] = [];
    for (const [index, exit] of exits.entries()) {
      const { judge, command } = this.#stages[index]!;
      try {
        warnings.push(...judge(exit, this.children[index]!.messages.lines));
        if (leftovers[index]) {
          throw new PlasmaError(
            "archive",
            `${command.program} ended before it had read everything`,
            { code: "source" },
          );
        }
      } catch (error) {
        const { lines } = this.children[index]!.messages;
        const isKilled = isKilledByPipe(exit);
        failures.push({ error, isKilled, byPipe: isKilled || lines.some(isBrokenPipe) });
      }
    }
    const cause = failures.find(({ byPipe }) => !byPipe) ?? failures[0];
    if (cause === undefined) return warnings;
    const { error, isKilled } = cause;
    if (!isKilled || !(error instanceof PlasmaError)) throw error;
    throw new PlasmaError(error.stage, error.message, { code: brokenPipe, cause: error });
  }

  /** End all programs. */
  kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): void {
    for (const child of this.children) child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await Promise.all(this.children.map(({ exited }) => exited));
  }
}

/** Nobody reads any more what the programs write. */
export const brokenPipe = "broken-pipe";

/** A shell ends with 128 and the number of the signal that has killed its child, see sh(1). */
const isKilledByPipe = ({ code, signal }: Exit) => signal === "SIGPIPE" || code === 128 + 13;

/** What programs say that see a broken pipe themselves, where SIGPIPE is ignored. */
const isBrokenPipe = (line: string) => /broken pipe|wrote only|write error/i.test(line);

/**
 * Whether a program has left something of its input unread when it ended. A compressor that ends
 * too early may do so with status 0, and what was still in the pipe would be lost without a sign.
 */
async function hasLeftover(pipe: NamedPipe, exited: Promise<Exit>): Promise<boolean> {
  const watcher = fs.openSync(pipe.path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    await exited;
    return fs.readSync(watcher, new Uint8Array(1), 0, 1, null) > 0;
  } catch {
    // EAGAIN: the program before it lives on, but has nothing in the pipe.
    return false;
  } finally {
    fs.closeSync(watcher);
  }
}

/** Programs, and the pipe at one end of them that we use ourselves. */
class PipedPrograms implements AsyncDisposable {
  protected constructor(readonly programs: Programs, readonly pipe: NamedPipe) {}

  /** Where the pipe is to be opened. */
  get path(): string {
    return this.pipe.path;
  }

  /** The pipe has been opened at `path`. */
  onOpen(): void {
    this.pipe.release();
  }

  /** All has been read or written: see {@link Programs.finish}. */
  finish(): Promise<string[]> {
    return this.programs.finish();
  }

  kill(): void {
    this.programs.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pipe[Symbol.dispose]();
    await this.programs[Symbol.asyncDispose]();
  }
}

/** Programs whose output is read at `path`. */
export class Producer extends PipedPrograms {
  /** @param folder a private folder for the pipes */
  static async start(stages: readonly Stage[], folder: string): Promise<Producer> {
    const [pipe] = await NamedPipe.make(folder, ["output"]);
    try {
      using end = pipe!.open("w");
      const programs = await Programs.start(stages, folder, { stdin: "ignore", stdout: end.file });
      return new Producer(programs, pipe!);
    } catch (error) {
      pipe![Symbol.dispose]();
      throw error;
    }
  }
}

/** Programs whose input is written at `path`. */
export class Consumer extends PipedPrograms {
  /** What the last program says on its standard output, if that is a pipe. */
  get output(): AsyncIterable<Uint8Array> {
    return this.programs.children.at(-1)!.process.stdout!;
  }

  /**
   * @param folder a private folder for the pipes
   * @param stdout where the output of the last program goes; 1 is our own standard output, "pipe" is
   * {@link output}
   */
  static async start(
    stages: readonly Stage[],
    folder: string,
    stdout: Ends["stdout"],
  ): Promise<Consumer> {
    const [pipe] = await NamedPipe.make(folder, ["input"]);
    try {
      using end = pipe!.open("r");
      const programs = await Programs.start(stages, folder, { stdin: end.file, stdout });
      return new Consumer(programs, pipe!);
    } catch (error) {
      pipe![Symbol.dispose]();
      throw error;
    }
  }
}
