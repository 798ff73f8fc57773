import { PlasmaError } from "../errors.ts";
import type { Command } from "../system/process.ts";
import { describeExit } from "../system/process.ts";
import { deepCommand, type DeepFolder } from "./deep.ts";
import type { Stage } from "../system/pipeline.ts";
import { withMemoryLimit } from "../system/limited.ts";
import { isGap, tarComplaints } from "../system/tar_messages.ts";

/**
 * The tar that unpacks into the current folder. Names that lead out of it (absolute, "..") tar cuts or
 * refuses, and symbolic links that lead out it makes only at the end.
 *
 * @param flags see {@link unpackFlags}
 * @param members a folder with all below it; none stands for everything
 */
export function extractStage(flags: readonly string[], members: readonly string[]): Stage {
  return { command: drained([...flags, "--file=-", "--", ...members]), judge: judgeExtraction };
}

/** The tar that unpacks a folder that cannot be reached from above. */
export function deepStage(flags: readonly string[], folder: DeepFolder): Stage {
  return { command: deepCommand([...flags, "--file=-"], folder), judge: judgeExtraction };
}

/**
 * How tar unpacks. As root everything comes back as it was: numeric owners, modes, ACLs, extended
 * attributes and capabilities; others get their own files with the modes.
 *
 * @param isUntrusted leave out what gives rights: setuid and setgid bits, what the umask forbids, and
 * attributes that only root can set, capabilities among them
 */
export function unpackFlags(isUntrusted: boolean): string[] {
  const isRoot = Deno.uid() === 0;
  return [
    "--extract",
    "--blocking-factor=128",
    // With the first one tar leaves out the bits above 0777, and those of the umask.
    isUntrusted ? "--no-same-permissions" : "--preserve-permissions",
    "--numeric-owner",
    "--acls",
    "--xattrs",
    isRoot && !isUntrusted ? "--xattrs-include=*" : "--xattrs-include=user.*",
    "--delay-directory-restore",
    "--no-unquote",
    ...(isRoot ? ["--same-owner"] : []),
  ];
}

/** Address space of a tar that lists: names, and the maps of sparse files, are all it remembers. */
const listMegabytes = 512;

/**
 * The tar that lists what {@link extractStage} would unpack, on its standard output. Within a limit of
 * memory: a few kilobytes can be made so that they take gigabytes to list.
 */
export function listStage(members: readonly string[]): Stage {
  const args = ["--list", "--file=-", "--quoting-style=escape", "--no-unquote", "--", ...members];
  return withMemoryLimit({ command: drained(args), judge: judgeExtraction }, listMegabytes);
}

/**
 * tar stops reading at the end of the archive, and leaves the padding after it in the pipe: then
 * whoever writes there dies by SIGPIPE, and whether all was well cannot be told any more.
 */
function drained(args: readonly string[]): Command {
  const script = 'tar "$@"; status=$?; cat >/dev/null; exit $status';
  return { program: "sh", args: ["-c", script, "sh", ...args] };
}

/** Nothing was wrong but that the kernel called so many names too long. */
export class TooLongError extends PlasmaError {
  override readonly name = "TooLongError";

  constructor(readonly count: number, message: string, remedy: string) {
    super("restore", message, { remedy });
  }
}

const judgeExtraction: Stage["judge"] = (exit, messages) => {
  const complaints = tarComplaints(messages);
  if (exit.code === 0) return complaints;
  const isAllTooLong = complaints.length > 0 && !messages.some(isGap) &&
    complaints.every((line) => line.endsWith(": File name too long"));
  const words = complaints.slice(0, 5).join(" / ");
  const more = complaints.length > 5 ? ` (and ${complaints.length - 5} more)` : "";
  const message = `tar ${describeExit(exit)}: ${words}${more}`;
  const remedy = remedyFor(complaints.join("\n"));
  if (isAllTooLong) throw new TooLongError(countMembers(complaints), message, remedy);
  throw new PlasmaError("restore", message, { remedy });
};

/**
 * How many members tar complains of as too long: once of each, but of a hard link twice, "NAME: Cannot
 * stat" and "NAME: Cannot hard link to 'TARGET'", of which a long line keeps only the end.
 */
function countMembers(complaints: readonly string[]): number {
  const ending = (end: string) => complaints.filter((line) => line.endsWith(end)).length;
  const stats = ending(": Cannot stat: File name too long");
  return complaints.length - Math.min(stats, ending("': File name too long"));
}

function remedyFor(words: string): string {
  if (/Not found in archive/.test(words)) {
    return "name paths as --dry-run lists them";
  }
  if (/Cannot hard link to/.test(words)) {
    return "a hard link needs the file that it is a link to: restore that path too";
  }
  if (/File name too long/.test(words)) {
    return "restore into a new folder, or by hand with tar -C: see README.md";
  }
  if (/Too many levels of symbolic links/.test(words)) {
    return "a restore goes through no symbolic link: one is in the way in the target or in the archive";
  }
  if (/No space left/.test(words)) return "free some space, or name another --target";
  return "do not take what was unpacked for complete";
}
