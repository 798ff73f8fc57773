import { namesIn, type TemporaryFolder } from "./folders.ts";
import type { PlasmaOptions } from "./plasma.ts";

/** What a machine is known by. */
export interface MachineTraits {
  /** The content of `/etc/machine-id`; undefined if there is none. */
  readonly machineId: string | undefined;
  /** What its hardware tells; undefined if it tells nothing. */
  readonly hardware?: string;
  readonly hostName?: string;
}

/**
 * Another machine, as far as plasma can tell: a namespace with its own /etc/machine-id, /sys/class,
 * /run/plasma, host name and state below /var/lib. What it keeps outlives the namespace.
 */
export class Machine {
  readonly #folder: string;

  /** @param name of a folder that is its disk; the folder of another machine is that one's disk */
  constructor(folder: TemporaryFolder, name: string) {
    this.#folder = folder.at(name);
    for (const part of ["state", "run"]) {
      Deno.mkdirSync(`${this.#folder}/${part}`, { recursive: true, mode: 0o700 });
    }
  }

  /** Where its identity lies. */
  get state(): string {
    return `${this.#folder}/state`;
  }

  /** The locks and folders of its runs; in "uploads" they note what they upload. */
  get runs(): string[] {
    return namesIn(`${this.#folder}/run`).filter((name) => name !== "uploads");
  }

  /** How to run the program on it. */
  with({ machineId, hardware, hostName = "a-host" }: MachineTraits): PlasmaOptions {
    const id = `${this.#folder}/machine-id`;
    Deno.writeTextFileSync(id, machineId ?? "");
    const script = [
      "set -e",
      "mkdir -p /run/plasma /var/lib/plasma-agent",
      'mount --bind "$0/run" /run/plasma',
      'mount --bind "$0/state" /var/lib/plasma-agent',
      "touch /etc/machine-id",
      'mount --bind "$0/machine-id" /etc/machine-id',
      "mount -t tmpfs tmpfs /sys/class",
      hardware === undefined ? "" : "mkdir -p /sys/class/dmi/id",
      hardware === undefined ? "" : `echo ${hardware} >/sys/class/dmi/id/product_uuid`,
      `hostname ${hostName}`,
      'exec "$@"',
    ].join("\n");
    return {
      through: ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", script]
        .concat(this.#folder),
    };
  }
}
