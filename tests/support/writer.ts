import { fromRoot } from "./folders.ts";

/** A program of tests/testdata that writes without a pause; ends with its scope. */
export class Writer implements AsyncDisposable {
  private constructor(readonly process: Deno.ChildProcess) {}

  /** Returns when it has written for the first time. */
  static async start(script: string, ...args: string[]): Promise<Writer> {
    const process = new Deno.Command("python3", {
      args: [fromRoot(`tests/testdata/${script}`), ...args],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const writer = new Writer(process);
    const reader = process.stdout.getReader();
    const { done } = await reader.read();
    reader.releaseLock();
    if (!done) return writer;
    await writer[Symbol.asyncDispose]();
    throw new Error(`${script} ended at once`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.process.stdout.cancel();
    await this.process.status;
  }
}
