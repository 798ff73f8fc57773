import { createHash, randomBytes } from "node:crypto";
import * as v from "valibot";
import { errorCode, PlasmaError, reasonOf } from "../errors.ts";
import { digest } from "./digest.ts";
import { makePrivateFolder, syncFolder } from "./durable.ts";
import { environmentVariable } from "./environment.ts";
import { Lock } from "./lock.ts";
import { run } from "./process.ts";
import { replacePrivately } from "./replace_file.ts";
import { requireTrusted } from "./trusted.ts";

/**
 * Who this machine and user are among all that store archives. machine-id(5) alone does not do:
 * machines made from one image often have the same. Together with what the hardware tells it does, and
 * needs no file, which a machine may lose at each start. Where the hardware tells nothing it is a
 * random number, made on first use and kept in a file.
 *
 * The file tells on which machine it was made, so that a copy of the disk does not make another
 * machine the same one. What a machine may change without being another one (its host name, its
 * kernel, its network) does not count.
 */
export interface Identity {
  /** Eight hexadecimal digits, as in run ids. */
  readonly machine: string;
  /** The digits that runs on this disk had before: what they left here is dead. */
  readonly former: readonly string[];
  /** Why no random number can be kept, and machine-id and host name stand in. */
  readonly problem: string | undefined;
}

/** What a machine is told apart by; undefined for what it does not tell. */
export interface Traits {
  /** Of `/etc/machine-id`. */
  readonly machineId: string | undefined;
  /** Of what the hardware or the hypervisor says. */
  readonly hardware: string | undefined;
}

const digits = v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/));

const recordSchema = v.object({
  identity: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  madeOn: v.object({ machineId: v.optional(digits), hardware: v.optional(digits) }),
  former: v.pipe(v.array(digits), v.maxLength(16)),
});

/** What is kept in the file. */
export type IdentityRecord = v.InferOutput<typeof recordSchema>;

/** No record is longer than this. */
const maximumSize = 4096;

/**
 * True if a record was made on the machine with these traits. A trait that the machine had not when it
 * was made is another machine's: records come along with images. One that cannot be read now is not.
 */
export function isOfMachine({ madeOn }: IdentityRecord, { machineId, hardware }: Traits): boolean {
  return (machineId === undefined || machineId === madeOn.machineId) &&
    (hardware === undefined || hardware === madeOn.hardware);
}

let own: Promise<Identity> | undefined;

/** The identity of this machine and user; it is made if there is none. */
export function machineIdentity(): Promise<Identity> {
  return own ??= findIdentity();
}

async function findIdentity(): Promise<Identity> {
  const traits = { machineId: readMachineId(), hardware: await readHardware() };
  try {
    const { identity, former } = await keptRecord(fileOf(), traits);
    return { machine: digest(`${identity} ${Deno.uid()}`), former, problem: undefined };
  } catch (error) {
    const told = toldIdentity(traits);
    if (told !== undefined) {
      return { machine: digest(`${told} ${Deno.uid()}`), former: [], problem: undefined };
    }
    const problem = error instanceof PlasmaError ? error.message : reasonOf(error);
    return { machine: substitute(traits), former: [], problem };
  }
}

/** What a machine tells of itself, if that tells it apart from all others. */
function toldIdentity({ machineId, hardware }: Traits): string | undefined {
  if (machineId === undefined || hardware === undefined) return undefined;
  return createHash("sha256").update(`${machineId} ${hardware}`).digest("hex").slice(0, 32);
}

/** Digits for where no random number can be kept. Root's do not depend on the host name. */
function substitute({ machineId, hardware }: Traits): string {
  const isEnough = Deno.uid() === 0 && (machineId ?? hardware) !== undefined;
  return digest(`${machineId} ${hardware} ${isEnough ? "" : Deno.hostname()} ${Deno.uid()}`);
}

/** In a home that several machines share, each has a file of its own. */
function fileOf(): { folder: string; name: string } {
  if (Deno.uid() === 0) return { folder: "/var/lib/plasma-agent", name: "identity" };
  const home = environmentVariable("HOME");
  if (!home?.startsWith("/")) throw new PlasmaError("identity", "there is no HOME");
  return {
    folder: `${home}/.local/state/plasma`,
    name: `identity-${digest(Deno.hostname())}`,
  };
}

async function keptRecord(
  { folder, name }: { folder: string; name: string },
  traits: Traits,
): Promise<IdentityRecord> {
  const file = `${folder}/${name}`;
  requireTrusted(folder, "identity", "the folder");
  const found = readRecord(file);
  if (found !== undefined && isOfMachine(found, traits)) return found;
  try {
    makeFolders(folder);
    using lock = await Lock.take(`${file}.lock`, { waitSeconds: 10, isTemporary: true });
    if (lock === undefined) throw new PlasmaError("identity", `${file}.lock is held by somebody`);
    const before = readRecord(file);
    if (before !== undefined && isOfMachine(before, traits)) return before;
    const record = newRecord(traits, before);
    replacePrivately(file, `${JSON.stringify(record)}\n`);
    syncFolder(folder);
    return record;
  } catch (error) {
    if (error instanceof PlasmaError) throw error;
    throw new PlasmaError("identity", `cannot write ${file}: ${reasonOf(error)}`);
  }
}

function newRecord(traits: Traits, before?: IdentityRecord): IdentityRecord {
  const { machineId, hardware } = traits;
  const former = before === undefined
    ? []
    : [...before.former, digest(`${before.identity} ${Deno.uid()}`)];
  return {
    identity: toldIdentity(traits) ?? randomBytes(16).toString("hex"),
    madeOn: {
      ...(machineId === undefined ? {} : { machineId }),
      ...(hardware === undefined ? {} : { hardware }),
    },
    former: former.slice(-16),
  };
}

/** Undefined if there is none, or what is there is damaged: then a new one is made. */
function readRecord(file: string): IdentityRecord | undefined {
  let text;
  try {
    const { isFile, size } = Deno.lstatSync(file);
    if (!isFile || size > maximumSize) return undefined;
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new PlasmaError("identity", `cannot read ${file}: ${reasonOf(error)}`);
  }
  try {
    return v.parse(recordSchema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The folder and those above it; the home itself must be there. */
function makeFolders(folder: string): void {
  const parts = folder.split("/");
  const first = Deno.uid() === 0 ? parts.length : parts.length - 2;
  for (let end = first; end <= parts.length; end++) {
    makePrivateFolder(parts.slice(0, end).join("/"));
  }
}

/** Undefined where it is not set: empty or "uninitialized" in images that set it at their first start. */
function readMachineId(): string | undefined {
  try {
    const text = Deno.readTextFileSync("/etc/machine-id").trim();
    return /^[0-9a-f]{32}$/.test(text) ? digest(text) : undefined;
  } catch {
    return undefined;
  }
}

/** What says which hardware or virtual machine this is: the first that there is. */
const hardwareFiles = [
  "/sys/class/dmi/id/product_uuid",
  "/sys/firmware/devicetree/base/serial-number",
] as const;

/** What makers of hardware write who do not number it. */
const placeholder =
  /^(?:[0-]*|[f-]*|03000200-0400-0500-0006-000700080009|00020003-0004-0005-0006-000700080009)$/i;

/** Only root may read it. Deno keeps /sys to itself, so that another program reads it for us. */
async function readHardware(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const texts = await Promise.all(hardwareFiles.map(async (file) => {
    const { exit, stdout } = await run({ program: "cat", args: ["--", file] });
    const text = new TextDecoder().decode(stdout).replaceAll("\0", "").trim();
    return exit.code === 0 && !placeholder.test(text) ? text : undefined;
  }));
  const told = texts.find((text) => text !== undefined);
  return told === undefined ? undefined : digest(told);
}
