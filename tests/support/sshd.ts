import { TemporaryFolder } from "./folders.ts";
import { plasmaProgram } from "./plasma.ts";
import { sh, until } from "./sh.ts";

/**
 * A real sshd on 127.0.0.1 with a free port and throw-away keys, and the settings that an agent
 * needs to reach it.
 */
export class Sshd implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  #process: Deno.ChildProcess;
  readonly port: number;

  private constructor(folder: TemporaryFolder, process: Deno.ChildProcess, port: number) {
    this.#folder = folder;
    this.#process = process;
    this.port = port;
  }

  /** @param forcedOptions what stands before the key in authorized_keys, e.g. `command="..."` */
  static async start({ forcedOptions = "", config = "" } = {}): Promise<Sshd> {
    const folder = new TemporaryFolder();
    for (const key of ["host_key", "key"]) {
      await sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder.at(key));
    }
    const publicKey = Deno.readTextFileSync(folder.at("key.pub"));
    folder.write("authorized_keys", `${forcedOptions} ${publicKey}`);
    const port = freePort();
    folder.write(
      "known_hosts",
      `[127.0.0.1]:${port} ${Deno.readTextFileSync(folder.at("host_key.pub"))}`,
    );
    folder.write(
      "sshd_config",
      [
        `Port ${port}`,
        "ListenAddress 127.0.0.1",
        `HostKey ${folder.at("host_key")}`,
        `AuthorizedKeysFile ${folder.at("authorized_keys")}`,
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "PidFile none",
        config.includes("MaxStartups") ? "" : "MaxStartups 100",
        // Else bash reads the login's ~/.bashrc, whatever that does: bash(1), INVOCATION.
        "SetEnv SHLVL=2",
        config,
        "",
      ].join("\n"),
    );
    // Where sshd has never been started as a service its folder is missing.
    if (Deno.uid() === 0) Deno.mkdirSync("/run/sshd", { recursive: true });
    return new Sshd(folder, await listen(folder, port), port);
  }

  /** Nobody can connect any more; {@link startAgain} changes that. */
  stop(): void {
    this.#process.kill("SIGKILL");
  }

  async startAgain(): Promise<void> {
    await this.#process.status;
    this.#process = await listen(this.#folder, this.port);
  }

  /** What it has said so far. */
  get log(): string {
    return Deno.readTextFileSync(this.#folder.at("log"));
  }

  /** The process that listens; connections have processes of their own. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The key "ssh" of an agent's config that reaches it. */
  get settings() {
    return {
      host: "127.0.0.1",
      login: Deno.env.get("USER") ?? "root",
      port: this.port,
      identityFile: this.#folder.at("key"),
      knownHostsFile: this.#folder.at("known_hosts"),
      command: plasmaProgram,
    };
  }

  /** The same as flags for a folder on it: `[DEST, ...flags]`. */
  destination(folder: string): [string, ...string[]] {
    const { login, identityFile, knownHostsFile, command } = this.settings;
    return [
      `ssh://${login}@127.0.0.1:${this.port}${folder}`,
      "--identity-file",
      identityFile,
      "--known-hosts-file",
      knownHostsFile,
      "--ssh-command",
      command,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // A test has killed it.
    }
    await this.#process.status;
    this.#folder[Symbol.dispose]();
  }
}

async function listen(folder: TemporaryFolder, port: number): Promise<Deno.ChildProcess> {
  const process = new Deno.Command("/usr/sbin/sshd", {
    args: ["-D", "-E", folder.at("log"), "-f", folder.at("sshd_config")],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await until("sshd listens", () => canConnect(port));
  return process;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

async function canConnect(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
