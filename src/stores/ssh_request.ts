import {
  type Child,
  converse,
  type ConverseOptions,
  type Output,
  start,
} from "../system/process.ts";
import type { SshConnection } from "./ssh_connection.ts";

/** A session for a request that is answered by a line and nothing else. */
export class SshRequest implements AsyncDisposable {
  private constructor(readonly child: Child) {}

  static async open(connection: SshConnection): Promise<SshRequest> {
    return new SshRequest(
      await start(connection.command(), { stdin: "pipe", stdout: "pipe" }),
    );
  }

  /** Send the request, and collect what comes back until ssh ends. */
  send(request: string, options: Omit<ConverseOptions, "input">): Promise<Output> {
    return converse(this.child, { ...options, input: request });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}
