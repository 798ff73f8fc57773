import { type EndingSignal, ExitStatus, signalNumbers } from "./exit_status.ts";

/** What an error can carry beside its message. */
export interface PlasmaErrorOptions {
  /** What the user should do about it. */
  remedy?: string;
  /** The exit status with which the program ends; by default 1 (failed). */
  status?: ExitStatus;
  /** A word by which the other end of a connection recognises the error. */
  code?: string;
  cause?: unknown;
}

/**
 * An error that is meant for the user: the stage in which it arose, the cause in plain words and,
 * where there is one, the remedy. Everything else that is thrown is a bug.
 */
export class PlasmaError extends Error {
  override readonly name: string = "PlasmaError";
  readonly stage: string;
  readonly remedy: string | undefined;
  readonly status: ExitStatus;
  readonly code: string;

  constructor(stage: string, message: string, options: PlasmaErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.stage = stage;
    this.remedy = options.remedy;
    this.status = options.status ?? ExitStatus.Failed;
    this.code = options.code ?? "failed";
  }
}

/** A wrong command line or config: nothing was touched, the exit status is 2. */
export class UsageError extends PlasmaError {
  override readonly name = "UsageError";

  constructor(stage: string, message: string, remedy?: string) {
    super(stage, message, {
      status: ExitStatus.Usage,
      code: "usage",
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
}

/** Others could change what would be run, or obeyed. */
export class DistrustError extends UsageError {}

/** The run was ended by a signal. */
export class SignalError extends PlasmaError {
  override readonly name = "SignalError";

  constructor(readonly signal: EndingSignal) {
    super("run", `ended by ${signal}`, { status: 128 + signalNumbers[signal], code: "signal" });
  }
}

/** The one line that tells the user about an error: stage, cause, remedy. */
export function describeError(error: unknown): string {
  if (error instanceof PlasmaError) {
    const remedy = error.remedy === undefined ? "" : `; ${error.remedy}`;
    return `${error.stage}: ${error.message}${remedy}`;
  }
  const [words = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  const reason = plainWords[errorCode(error) ?? ""];
  // Deno and node name the call and the path after their own words for it.
  if (reason !== undefined) return `system: ${reason}: ${words.replace(/^[^:]*: /, "")}`;
  const name = error instanceof Error ? `${error.name}: ` : "";
  return `internal error: ${name}${words}; report it with what --verbose shows`;
}

/** Where in the program an unforeseen error arose, as one line; undefined for errors meant for users. */
export function stackOf(error: unknown): string | undefined {
  if (error instanceof PlasmaError || !(error instanceof Error)) return undefined;
  return (error.stack ?? error.message).split("\n").map((line) => line.trim()).join(" / ");
}

/** The exit status that belongs to an error. */
export function statusOf(error: unknown): ExitStatus {
  return error instanceof PlasmaError ? error.status : ExitStatus.Failed;
}

/** The system's name of an input/output error ("ENOSPC"), or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const byNumber = namesByNumber[numberOf(error) ?? 0];
  if (byNumber !== undefined) return byNumber;
  if ("code" in error && typeof error.code === "string") return error.code;
  return /\b(E[A-Z]{2,})\b/.exec(error.message)?.[1] ?? codeOfDenoError(error);
}

/** Errors of Linux that Deno has no names for ("UNKNOWN"), see errno(3). */
const namesByNumber: Readonly<Record<number, string>> = {
  26: "ETXTBSY",
  107: "ENOTCONN",
  112: "EHOSTDOWN",
  116: "ESTALE",
  117: "EUCLEAN",
  122: "EDQUOT",
};

/** The number that the system has given, in node's way or in Deno's. */
function numberOf(error: Error): number | undefined {
  if ("errno" in error && typeof error.errno === "number") return Math.abs(error.errno);
  const [, number] = /\(os error (\d+)\)/.exec(error.message) ?? [];
  return number === undefined ? undefined : Number(number);
}

/** Deno tells some errors apart by class and not by code. */
function codeOfDenoError(error: Error): string | undefined {
  if (error instanceof Deno.errors.NotFound) return "ENOENT";
  if (error instanceof Deno.errors.AlreadyExists) return "EEXIST";
  if (error instanceof Deno.errors.PermissionDenied) return "EACCES";
  if (error instanceof Deno.errors.NotADirectory) return "ENOTDIR";
  return undefined;
}

const plainWords: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it exists already",
  EFBIG: "the file would become larger than the filesystem allows",
  EIO: "input/output error (see the kernel's log)",
  EHOSTDOWN: "the host of this network filesystem is down",
  EISDIR: "it is a folder",
  ELOOP: "it is a symbolic link",
  EMFILE: "too many open files",
  ENOENT: "it does not exist",
  ENOSPC: "no space left on the device",
  ENOTCONN: "the program behind this FUSE filesystem is gone",
  ENOTDIR: "a part of the path is not a folder",
  ENOTEMPTY: "the folder is not empty",
  EPERM: "operation not permitted",
  EPIPE: "the other end closed the connection",
  EROFS: "the filesystem is read-only",
  ESTALE: "stale file handle: it is gone from its network filesystem",
  ETXTBSY: "it is in use, as a program that runs or for swap",
  EUCLEAN: "the filesystem is damaged (see the kernel's log)",
};

/** What went wrong in an input/output operation, in plain words. */
export function reasonOf(error: unknown): string {
  // Deno keeps /proc, /sys and /dev from programs that may not do everything.
  if (error instanceof Deno.errors.NotCapable) return "plasma may not touch what lies there";
  const code = errorCode(error);
  const words = code === undefined ? undefined : plainWords[code];
  return words ?? (error instanceof Error ? error.message : String(error));
}

/** True if the error says that something does not exist. */
export function isNotFound(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}
