/**
 * Streams of `btrfs send` as nobody but an attacker makes them: any command with any paths.
 *
 * A stream is a header, then commands, each with a length, a number and a CRC-32C; its attributes are
 * of the form type, length, data; all numbers are little-endian (fs/btrfs/send.h of Linux).
 */

const attribute = {
  uuid: 1,
  transid: 2,
  ino: 3,
  size: 4,
  mode: 5,
  uid: 6,
  gid: 7,
  rdev: 8,
  xattrName: 13,
  xattrData: 14,
  path: 15,
  pathTo: 16,
  pathLink: 17,
  offset: 18,
  data: 19,
  cloneUuid: 20,
  cloneTransid: 21,
  clonePath: 22,
  cloneOffset: 23,
  cloneLength: 24,
} as const;

const command = {
  subvol: 1,
  snapshot: 2,
  mkfile: 3,
  mkdir: 4,
  mknod: 5,
  mkfifo: 6,
  mksock: 7,
  symlink: 8,
  rename: 9,
  link: 10,
  unlink: 11,
  rmdir: 12,
  setXattr: 13,
  removeXattr: 14,
  write: 15,
  clone: 16,
  truncate: 17,
  chmod: 18,
  chown: 19,
  end: 21,
} as const;

type Attribute = keyof typeof attribute;
export type StreamCommand = [
  name: keyof typeof command,
  attributes?: Partial<Record<Attribute, string | number | bigint | Uint8Array>>,
];

/** The commands of one subvolume, with its beginning and its end. */
export function subvolumeStream(
  name: string,
  uuid: string,
  commands: readonly StreamCommand[],
  { isComplete = true } = {},
): Uint8Array {
  const begin: StreamCommand = ["subvol", { path: name, uuid: uuidBytes(uuid), transid: 7n }];
  return sendStream([begin, ...commands, ...(isComplete ? [["end"] as StreamCommand] : [])]);
}

/** A stream of these commands, with a header. */
export function sendStream(commands: readonly StreamCommand[]): Uint8Array {
  const header = concat([new TextEncoder().encode("btrfs-stream\0"), number(1n, 4)]);
  return concat([header, ...commands.map(encode)]);
}

/** The 16 bytes of a uuid in its usual writing. */
export function uuidBytes(uuid: string): Uint8Array {
  return Uint8Array.from(uuid.replaceAll("-", "").match(/../g)!, (pair) => parseInt(pair, 16));
}

function encode([name, attributes = {}]: StreamCommand): Uint8Array {
  const data = concat(
    Object.entries(attributes).flatMap(([type, value]) => {
      const bytes = typeof value === "string"
        ? new TextEncoder().encode(value)
        : value instanceof Uint8Array
        ? value
        : number(BigInt(value), 8);
      return [
        number(BigInt(attribute[type as Attribute]), 2),
        number(BigInt(bytes.length), 2),
        bytes,
      ];
    }),
  );
  const head = [number(BigInt(data.length), 4), number(BigInt(command[name]), 2)];
  const sum = crc32c(concat([...head, number(0n, 4), data]));
  return concat([...head, number(BigInt(sum), 4), data]);
}

function number(value: bigint, bytes: number): Uint8Array {
  return Uint8Array.from(
    { length: bytes },
    (_, index) => Number((value >> BigInt(8 * index)) & 255n),
  );
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** CRC-32C (RFC 3720, appendix B.4) as btrfs has it: neither begun nor ended with an inversion. */
function crc32c(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum >>> 8) ^ table[(sum ^ byte) & 255]!;
  return sum >>> 0;
}
