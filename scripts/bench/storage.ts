import { plasmaProgram } from "../../tests/support/plasma.ts";
import type { Sshd } from "../../tests/support/sshd.ts";
import { run } from "./command.ts";
import type { Workshop } from "./mod.ts";

/** A storage folder that begins empty each time. */
export class Storage {
  readonly folder: string;

  constructor(above: string) {
    this.folder = `${above}/storage`;
  }

  async empty(): Promise<void> {
    await Deno.remove(this.folder, { recursive: true }).catch(() => {});
    await Deno.mkdir(this.folder);
    await Deno.writeTextFile(`${this.folder}/plasma-rotate.json`, '{"policy": {"daily": 5}}');
  }
}

/** Back up a folder over SSH; further flags are those of `plasma backup`. */
export async function backUp(
  data: string,
  storage: Storage,
  sshd: Sshd,
  { signal }: Pick<Workshop, "signal">,
  ...more: string[]
): Promise<void> {
  const [destination, ...flags] = sshd.destination(storage.folder);
  await run([plasmaProgram, "backup", "--to", destination, ...flags, ...more, data], { signal });
}

/** The words for {@link sshOfShell}: key, known hosts, port, login. */
export function sshWords(sshd: Sshd): string[] {
  const { identityFile, knownHostsFile, port, login } = sshd.settings;
  return [identityFile, knownHostsFile, String(port), login];
}

/** The beginning of a line of bash: `there COMMAND` runs a command there, with $1 to $4 as above. */
export const sshOfShell = "key=$1 known=$2 port=$3 login=$4; shift 4; there() { " +
  'ssh -o BatchMode=yes -o "Ciphers=^aes128-gcm@openssh.com" -i "$key" ' +
  '-o "UserKnownHostsFile=$known" -p "$port" "$login@127.0.0.1" "$@"; }; ';
