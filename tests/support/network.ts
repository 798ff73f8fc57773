import { sh, tryRun } from "./sh.ts";

/**
 * A network namespace for an agent, and the cable between it and this machine, which can be pulled.
 * Needs root and ip(8).
 */
export class Cable implements AsyncDisposable {
  readonly #name = `plasma-${crypto.randomUUID().slice(0, 8)}`;
  readonly #net = `198.18.${crypto.getRandomValues(new Uint8Array(1))[0]!}`;

  private constructor() {}

  static async lay(): Promise<Cable> {
    const cable = new Cable();
    const [name, peer] = [cable.#name, "eth0"];
    await sh("ip", "netns", "add", name);
    try {
      const ends = ["type", "veth", "peer", "name", peer, "netns", name];
      // The name of an interface has 15 characters at most.
      await sh("ip", "link", "add", cable.#interface, ...ends);
      await sh("ip", "address", "add", `${cable.here}/24`, "dev", cable.#interface);
      await sh("ip", "-n", name, "address", "add", `${cable.#net}.2/24`, "dev", peer);
      await sh("ip", "-n", name, "link", "set", peer, "up");
      await cable.plug();
      return cable;
    } catch (error) {
      await cable[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #interface(): string {
    return this.#name.slice(0, 15);
  }

  /** The address of this machine. */
  get here(): string {
    return `${this.#net}.1`;
  }

  /** An address that nobody has. */
  get nowhere(): string {
    return `${this.#net}.3`;
  }

  /** What runs a program at the other end. */
  get through(): readonly string[] {
    return ["ip", "netns", "exec", this.#name];
  }

  async pull(): Promise<void> {
    await sh("ip", "link", "set", this.#interface, "down");
  }

  async plug(): Promise<void> {
    await sh("ip", "link", "set", this.#interface, "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryRun("ip", "link", "delete", this.#interface);
    await sh("ip", "netns", "delete", this.#name);
  }
}
