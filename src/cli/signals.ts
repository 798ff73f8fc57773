import { SignalError } from "../errors.ts";
import { type EndingSignal, signalNumbers } from "../exit_status.ts";

/** The signals that end a program, as abort signals: the first one, and the second one. */
export class Signals {
  readonly #controllers = [new AbortController(), new AbortController()] as const;
  readonly #listeners: (readonly [EndingSignal, () => void])[] = [];

  constructor() {
    for (const signal of Object.keys(signalNumbers) as EndingSignal[]) {
      const listener = () => {
        const open = this.#controllers.find((controller) => !controller.signal.aborted);
        open?.abort(new SignalError(signal));
      };
      Deno.addSignalListener(signal, listener);
      this.#listeners.push([signal, listener]);
    }
  }

  get first(): AbortSignal {
    return this.#controllers[0].signal;
  }

  get second(): AbortSignal {
    return this.#controllers[1].signal;
  }

  stop(): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
  }
}
