import fs from "node:fs";
import type { MemberCounter } from "../strategies/member_counter.ts";
import { NamedPipe } from "../system/named_pipe.ts";
import type { Producer } from "../system/pipeline.ts";
import type { ByteSource } from "./byte_source.ts";

/** The list of what tar archives, which it writes into a pipe while it works. */
export class MemberList implements Disposable {
  readonly #pipe: NamedPipe;
  readonly #read: Promise<void>;

  private constructor(pipe: NamedPipe, read: Promise<void>) {
    this.#pipe = pipe;
    this.#read = read;
  }

  /** @param folder a private folder for the pipe */
  static async begin(counter: MemberCounter, folder: string): Promise<MemberList> {
    const [pipe] = await NamedPipe.make(folder, ["members"]);
    counter.reset();
    const stream = fs.createReadStream(pipe!.path, { highWaterMark: 1 << 18 });
    const read = new Promise<void>((resolve, reject) => {
      stream.on("data", (chunk) => counter.add(chunk as Uint8Array));
      stream.once("end", () => resolve());
      stream.once("error", reject);
    });
    read.catch(() => {});
    return new MemberList(pipe!, read);
  }

  /** What makes tar write the list. */
  get flags(): readonly string[] {
    return ["--verbose", "--verbose", `--index-file=${this.#pipe.path}`];
  }

  /** The same bytes; when they have come to their end, the whole list was read. */
  follow(producer: Producer): ByteSource {
    const end = () => this[Symbol.dispose]();
    void producer.programs.children[0]!.exited.then(end);
    return {
      path: producer.path,
      onOpen: () => producer.onOpen(),
      kill: () => producer.kill(),
      finish: async () => {
        const warnings = await producer.finish();
        await this.#read;
        return warnings;
      },
      async [Symbol.asyncDispose]() {
        await producer[Symbol.asyncDispose]();
        end();
      },
    };
  }

  /** As long as we hold the pipe it does not come to its end. */
  [Symbol.dispose](): void {
    this.#pipe.release();
  }
}
