import { PlasmaError } from "../errors.ts";
import type { Command } from "../system/process.ts";
import { describeExit } from "../system/process.ts";
import type { Stage } from "../system/pipeline.ts";
import { tarComplaints } from "../system/tar_messages.ts";

/** What is to be unpacked, and where. */
export interface Extraction {
  readonly target: string;
  /** Members, a folder with all below it; none stands for everything. */
  readonly members: readonly string[];
}

/** Paths as archives name them, "/etc/" as "etc"; with "/" among them it is everything. */
export function memberNames(paths: readonly string[]): string[] {
  const names = paths.map((path) => path.replace(/^\/+/, "").replace(/\/+$/, ""));
  return names.includes("") ? [] : names;
}

/**
 * The tar that unpacks. As root everything comes back as it was: numeric owners, modes, ACLs,
 * extended attributes and capabilities; others get their own files with the modes. Names that lead
 * out of the target (absolute, "..") tar cuts or refuses, and symbolic links that lead out it makes
 * only at the end, when nothing can be written through them any more.
 */
export function extractStage({ target, members }: Extraction): Stage {
  const isRoot = Deno.uid() === 0;
  const command = drained([
    "--extract",
    "--file=-",
    "--blocking-factor=128",
    `--directory=${target}`,
    "--preserve-permissions",
    "--numeric-owner",
    "--acls",
    "--xattrs",
    isRoot ? "--xattrs-include=*" : "--xattrs-include=user.*",
    "--delay-directory-restore",
    "--no-unquote",
    ...(isRoot ? ["--same-owner"] : []),
    "--",
    ...members,
  ]);
  return { command, judge: judgeExtraction };
}

/** The tar that lists what {@link extractStage} would unpack, on its standard output. */
export function listStage(members: readonly string[]): Stage {
  const args = ["--list", "--file=-", "--quoting-style=escape", "--no-unquote", "--", ...members];
  return { command: drained(args), judge: judgeExtraction };
}

/**
 * tar stops reading at the end of the archive, and leaves the padding after it in the pipe: then
 * whoever writes there dies by SIGPIPE, and whether all was well cannot be told any more.
 */
function drained(args: readonly string[]): Command {
  const script = 'tar "$@"; status=$?; cat >/dev/null; exit $status';
  return { program: "sh", args: ["-c", script, "sh", ...args] };
}

const judgeExtraction: Stage["judge"] = (exit, messages) => {
  const complaints = tarComplaints(messages);
  if (exit.code === 0) return complaints;
  const words = complaints.slice(0, 5).join(" / ");
  const more = complaints.length > 5 ? ` (and ${complaints.length - 5} more)` : "";
  throw new PlasmaError("restore", `tar ${describeExit(exit)}: ${words}${more}`, {
    remedy: remedyFor(words),
  });
};

function remedyFor(words: string): string {
  if (/Not found in archive/.test(words)) {
    return "name paths as --dry-run lists them";
  }
  if (/Cannot hard link to/.test(words)) {
    return "a hard link needs the file that it is a link to: restore that path too";
  }
  if (/No space left/.test(words)) return "free some space, or name another --target";
  return "do not take what was unpacked for complete";
}
