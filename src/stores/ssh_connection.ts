import * as v from "valibot";
import type { SshSettings } from "../config/agent.ts";
import { PlasmaError } from "../errors.ts";
import { type Command, describeExit, type Output, run } from "../system/process.ts";
import { parseAnswer, protocolVersion } from "./protocol.ts";
import { connectionLost, explainSshFailure } from "./ssh_failures.ts";

/** Connecting and the handshake may take this many seconds together (ConnectTimeout). */
const connectSeconds = 30;
/** A connection on which nothing comes back is given up after 4 x 15 seconds. */
const aliveInterval = 15;
const aliveCount = 4;
/** An unused control master ends after this many seconds, also if we were killed. */
const persistSeconds = 20;
/** How often we look whether the control master is there, in milliseconds. */
const socketPollMs = 10;

/**
 * A path of a socket may have 107 bytes (unix(7)), and while ssh makes it, it has 17 more. Percent signs
 * and the like have a meaning for ssh. Without a socket each request logs in by itself.
 */
function socketIn(folder: string): string | undefined {
  const path = `${folder}/ssh`;
  return /^[\w/.+@:-]{1,90}$/.test(path) ? path : undefined;
}

/** How requests reach the `plasma serve` of a storage host. */
export class SshConnection {
  readonly host: string;
  readonly #settings: SshSettings;
  readonly #controlPath: string | undefined;

  /** @param folder a private folder for the socket that requests share a connection through */
  constructor(settings: SshSettings, folder: string | undefined) {
    this.#settings = settings;
    this.#controlPath = folder === undefined ? undefined : socketIn(folder);
    this.host = settings.host;
  }

  /** The ssh command line that runs `plasma serve`; no word of a client reaches a shell. */
  command(): Command {
    return {
      program: "ssh",
      args: [...this.#options(), "--", this.#target(), this.#settings.command, "serve"],
    };
  }

  #target(): string {
    const { login, host } = this.#settings;
    return login === undefined ? host : `${login}@${host}`;
  }

  #options(): string[] {
    const { port, identityFile, knownHostsFile } = this.#settings;
    const options = [
      "BatchMode=yes",
      `ConnectTimeout=${connectSeconds}`,
      `ServerAliveInterval=${aliveInterval}`,
      `ServerAliveCountMax=${aliveCount}`,
      // On one core 1.8 times the throughput of the default cipher.
      "Ciphers=^aes128-gcm@openssh.com",
      "Compression=no",
      "RequestTTY=no",
      "RemoteCommand=none",
      "ForwardAgent=no",
      "ForwardX11=no",
      "ClearAllForwardings=yes",
      "PermitLocalCommand=no",
      // At the level ERROR it does not say that both sides have no algorithm in common.
      "LogLevel=INFO",
      ...(identityFile === undefined
        ? []
        : [`IdentityFile="${identityFile}"`, "IdentitiesOnly=yes"]),
      ...(knownHostsFile === undefined ? [] : [`UserKnownHostsFile="${knownHostsFile}"`]),
      ...(this.#controlPath === undefined ? ["ControlMaster=no", "ControlPath=none"] : [
        "ControlMaster=auto",
        `ControlPath=${this.#controlPath}`,
        `ControlPersist=${persistSeconds}`,
      ]),
    ];
    const flags = options.flatMap((option) => ["-o", option]);
    return port === undefined ? flags : [...flags, "-p", String(port)];
  }

  /** A request as the line that `plasma serve` reads. */
  static line(verb: string, parameters: object): string {
    return JSON.stringify({ protocol: protocolVersion, verb, ...parameters }) + "\n";
  }

  /**
   * Wait until there is a connection that requests can share, or the request that opens it is over.
   *
   * @throws what the request throws
   */
  async whenShared(opening: Promise<unknown>): Promise<void> {
    const over = opening.then(() => true);
    const pause = () => new Promise<false>((resolve) => setTimeout(resolve, socketPollMs, false));
    over.catch(() => {});
    // ssh makes the socket when it has logged in, and says nothing of that.
    while (!await this.#isShared()) {
      if (await Promise.race([over, pause()])) return;
    }
  }

  /** The answer in what an ssh process left. Throws as {@link request} does. */
  interpret({ exit, stdout, messages, timedOut, overflowed }: Output, timeoutSeconds: number) {
    if (overflowed) {
      throw new PlasmaError("connection", `${this.host} said more than any answer has`, {
        code: "protocol",
        remedy: "look whether it is plasma serve that answers there",
      });
    }
    // Before an answer that takes long come spaces.
    const text = new TextDecoder().decode(stdout).replace(/^ +/, "");
    const end = text.indexOf("\n");
    if (end >= 0) return parseAnswer(text.slice(0, end), this.host);
    if (timedOut) {
      throw new PlasmaError("connection", `${this.host} gave no answer for ${timeoutSeconds} s`, {
        code: "timeout",
        remedy: "look at the load of the storage host and at the network",
      });
    }
    if (text !== "") return parseAnswer(text, this.host);
    const isSilent = exit.code === 255 && messages.tail === "";
    // What ended there with another status has said why in words of its own.
    const { cause, remedy, code } = exit.code === 255
      ? explainSshFailure(isSilent ? [connectionLost] : messages.lines)
      : { cause: messages.tail, remedy: undefined, code: "connection" };
    const words = cause === "" ? "" : `: ${cause}`;
    if (exit.code === 127 || exit.code === 126) {
      throw new PlasmaError(
        "connection",
        `the storage host ${this.host} cannot run ${this.#settings.command}${words}`,
        {
          code: "no-plasma",
          remedy: 'install plasma there, or name its absolute path as "ssh": {"command": ...}',
        },
      );
    }
    throw new PlasmaError("connection", `ssh to ${this.host} ${describeExit(exit)}${words}`, {
      code,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }

  /** End the shared connection, if there is one. */
  async close(): Promise<void> {
    if (!await this.#isShared()) return;
    await run({
      program: "ssh",
      args: ["-o", `ControlPath=${this.#controlPath}`, "-O", "exit", "--", this.#target()],
    }, { timeoutSeconds: 5 });
  }

  async #isShared(): Promise<boolean> {
    if (this.#controlPath === undefined) return false;
    try {
      return (await Deno.lstat(this.#controlPath)).isSocket === true;
    } catch {
      return false;
    }
  }
}

/**
 * The content of an answer, as a schema has it.
 *
 * @throws {PlasmaError} if it is something else
 */
export function understand<T>(
  answer: Record<string, unknown>,
  schema: v.GenericSchema<unknown, T>,
  host: string,
): T {
  const result = v.safeParse(schema, answer);
  if (result.success) return result.output;
  throw unintelligible(host, v.getDotPath(result.issues[0]) ?? "the whole of it");
}

/** An answer that no `plasma serve` of ours gives; `place` says which part of it is wrong. */
export function unintelligible(host: string, place: string): PlasmaError {
  return new PlasmaError(
    "connection",
    `${host} gave an answer that plasma does not understand (${place})`,
    { code: "protocol", remedy: "install the same version of plasma on both machines" },
  );
}
