import {
  type Child,
  converse,
  type ConverseOptions,
  type Output,
  start,
} from "../system/process.ts";
import type { SshConnection } from "./ssh_connection.ts";

/** The storage host may take so long to end the session when it has answered. */
const lingerMs = 5000;

/** A session for a request that is answered by a line and nothing else. */
export class SshRequest implements AsyncDisposable {
  private constructor(readonly child: Child) {}

  static async open(connection: SshConnection): Promise<SshRequest> {
    return new SshRequest(
      await start(connection.command(), { stdin: "pipe", stdout: "pipe" }),
    );
  }

  /** Send the request, and collect what comes back until ssh ends, or soon after the answer. */
  async send(request: string, options: Omit<ConverseOptions, "input">): Promise<Output> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.child.process.stdout?.on("data", (chunk: Uint8Array) => {
      if (timer === undefined && chunk.includes(10)) {
        timer = setTimeout(() => this.child.kill("SIGKILL"), lingerMs);
      }
    });
    try {
      return await converse(this.child, { ...options, input: request });
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}
