import * as v from "valibot";
import { compressions } from "../filters/compression.ts";
import {
  folderProblem,
  isHost,
  isLogin,
  isRemoteCommand,
  parseDuration,
  parseSize,
  tidyPath,
} from "./values.ts";

/** The schema of an agent's config, `/etc/plasma-agent.json`. */

const text = (expected: string) => v.pipe(v.string(expected), v.nonEmpty(expected));

const check = (expected: string, isGood: (text: string) => boolean) =>
  v.pipe(v.string(expected), v.check(isGood, expected));

const wholeNumber = (from: number, to: number) => {
  const expected = `a whole number from ${from} to ${to}`;
  return v.pipe(
    v.number(expected),
    v.integer(expected),
    v.minValue(from, expected),
    v.maxValue(to, expected),
  );
};

const duration = v.pipe(
  v.string('a duration such as "90s", "1m" or "2h"'),
  v.check(
    (text) => parseDuration(text) !== undefined,
    'a duration such as "90s", "1m" or "2h"',
  ),
  v.transform((text) => parseDuration(text)!),
);

const size = v.pipe(
  v.string('a size such as "512K" or "20M" (bytes per second)'),
  v.check(
    (text) => parseSize(text) !== undefined,
    'a size such as "512K" or "20M" (bytes per second)',
  ),
  v.transform((text) => parseSize(text)!),
);

const absolutePath = check(
  "an absolute path",
  (path) => path.startsWith("/") && !path.includes("\0") && !path.split("/").includes(".."),
);

/** A path that is handed to ssh inside an option, where quotes and percent signs have a meaning. */
const sshPath = check(
  "an absolute path without quotes, backslashes, percent signs and control characters",
  // deno-lint-ignore no-control-regex
  (path) => path.startsWith("/") && !/[\x00-\x1f\x7f"'\\%$]/.test(path),
);

const storageFolder = v.pipe(
  v.string("the path of a folder on the storage host"),
  v.check(
    (path) => folderProblem(path) === undefined,
    'a path without ".." and control characters',
  ),
  v.check((path) => !path.startsWith("-"), "a path without a leading dash"),
);

/** More than this many bytes cannot be handed to a shell: execve(2) takes 128 KiB at most. */
const longestCommand = 100_000;

const command = v.pipe(
  text("a command for /bin/sh"),
  v.check((text) => !text.includes("\0"), "a command for /bin/sh without a NUL character"),
  v.check(
    (text) => new TextEncoder().encode(text).length <= longestCommand,
    `a command for /bin/sh of at most ${longestCommand} bytes`,
  ),
);

const commands = v.array(command, "a list of commands for /bin/sh");

export const strategyNames = ["tar", "btrfs-snapshot", "btrfs-send", "noop"] as const;

const liveMounts = v.picklist(
  ["include", "skip", "fail"],
  'one of "include", "skip", "fail"',
);

const options = v.optional(
  v.object(
    { liveMounts: v.optional(liveMounts, "include") },
    "an object with the options of the strategy",
  ),
  {},
);

const compressionTypes = ["none", "gzip", "zstd", "xz"] as const;
const compressionType = v.picklist(compressionTypes, 'one of "none", "gzip", "zstd", "xz"');

const compressionObject = v.pipe(
  v.object({ type: compressionType, level: v.optional(wholeNumber(0, 22)) }),
  v.check(
    ({ type, level }) => level === undefined || isLevelOf(type, level),
    "a level from 1 to 9 for gzip, 1 to 22 for zstd, 0 to 9 for xz",
  ),
);

const compression = v.union(
  [v.pipe(compressionType, v.transform((type) => ({ type, level: undefined }))), compressionObject],
  'one of "none", "gzip", "zstd", "xz", or such as {"type": "zstd", "level": 3}',
);

function isLevelOf(type: (typeof compressionTypes)[number], level: number): boolean {
  if (type === "none") return false;
  const { least, most } = compressions[type].levels;
  return level >= least && level <= most;
}

const recipient = check(
  'a recipient of age: "age1..." or an ssh public key',
  (text) =>
    /^age1[a-z0-9]{10,200}$/.test(text) ||
    /^ssh-(?:ed25519|rsa) [A-Za-z0-9+/=]+(?: [^\n]*)?$/.test(text),
);

const encryption = v.pipe(
  v.object({
    recipients: v.optional(v.array(recipient, "a list of recipients of age")),
    recipientsFile: v.optional(absolutePath),
  }, 'an object such as {"recipients": ["age1..."]}'),
  v.check(
    ({ recipients = [], recipientsFile }) => recipients.length > 0 || recipientsFile !== undefined,
    "at least one of recipients and recipientsFile",
  ),
);

const ssh = v.object({
  host: check("a host name, ssh alias or IP address", isHost),
  login: v.optional(check("the name of a login on the storage host", isLogin)),
  port: v.optional(wholeNumber(1, 65535)),
  identityFile: v.optional(sshPath),
  knownHostsFile: v.optional(sshPath),
  command: v.optional(
    check(
      "the program plasma on the storage host: a bare name or an absolute path",
      isRemoteCommand,
    ),
    "plasma",
  ),
}, "an object with host and login");

const agentObject = v.object({
  folders: v.array(v.pipe(absolutePath, v.transform(tidyPath)), "a list of folders"),
  tempfile: v.optional(absolutePath),
  strategy: v.picklist(strategyNames, `one of ${strategyNames.join(", ")}`),
  options,
  ssh: v.optional(ssh),
  remoteFolder: storageFolder,
  exclude: v.optional(v.array(text("a pattern for tar --exclude"), "a list of patterns"), []),
  excludeCaches: v.optional(v.boolean("true or false"), false),
  compression: v.optional(compression, "none"),
  encryption: v.optional(encryption),
  bandwidthLimit: v.optional(size),
  retries: v.optional(wholeNumber(0, 100), 0),
  retryDelay: v.optional(duration, "1m"),
  executeBefore: v.optional(commands, []),
  executeAfterSnapshot: v.optional(commands, []),
  executeAfter: v.optional(commands, []),
  executeOnFailure: v.optional(commands, []),
  executeAlways: v.optional(commands, []),
  hookTimeout: v.optional(duration, "1h"),
  changedFiles: v.optional(
    v.picklist(["problem", "warning"], 'one of "problem", "warning"'),
    "problem",
  ),
}, "an object { ... }");

const forStreams = '"btrfs-send" sends subvolumes';

/** Keys that mean nothing for subvolumes: better to say so than to promise what does not happen. */
export const agentSchema = v.pipe(
  agentObject,
  v.check(
    ({ strategy, folders }) => strategy === "noop" || folders.length > 0,
    "at least one folder in folders",
  ),
  v.check(
    ({ ssh, remoteFolder }) => ssh !== undefined || remoteFolder.startsWith("/"),
    "an absolute path as remoteFolder, because there is no ssh",
  ),
  v.check(
    ({ strategy, encryption }) => strategy !== "btrfs-send" || encryption === undefined,
    `encryption only with archives that are tars: ${forStreams}`,
  ),
  v.check(
    ({ strategy, tempfile }) => strategy !== "btrfs-send" || tempfile === undefined,
    `tempfile only with archives that are tars: ${forStreams}`,
  ),
);

/** An agent's config with its defaults filled in; durations in seconds, sizes in bytes. */
export type AgentConfig = v.InferOutput<typeof agentSchema>;

/** How a storage host is reached. */
export type SshSettings = v.InferOutput<typeof ssh>;

/** The places of the config, the first that exists is taken. */
export const agentConfigPlaces = [
  "/etc/plasma-agent.jsonc",
  "/etc/plasma-agent.json",
  "/etc/plasma-agent.conf",
] as const;
