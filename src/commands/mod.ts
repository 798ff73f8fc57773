import type { ExitStatus } from "../exit_status.ts";

/** A command of the program: what it is called, what it does, and where its code is. */
export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  /** Loaded only when the command is called, so that start-up stays short. */
  load(): Promise<CommandModule>;
}

/** What a command's file exports. */
export interface CommandModule {
  /** The text of `plasma help NAME`. */
  readonly help: string;
  /** Run the command with the words after its name. Errors are thrown as PlasmaError. */
  run(args: readonly string[]): Promise<ExitStatus>;
}

/** The commands: a new one is a file and a row here. */
export const commands: readonly CommandRow[] = [
  {
    name: "backup",
    summary: "make an archive of the configured folders and store it",
    load: () => import("./backup.ts"),
  },
  {
    name: "rotate",
    summary: "delete the archives that a storage folder's policy no longer keeps",
    load: () => import("./rotate.ts"),
  },
  {
    name: "list",
    summary: "show the archives of a storage folder",
    load: () => import("./list.ts"),
  },
  {
    name: "restore",
    summary: "unpack an archive, or some paths of it",
    load: () => import("./restore.ts"),
  },
  {
    name: "verify",
    summary: "recompute checksums where the archives are stored",
    load: () => import("./verify.ts"),
  },
  {
    name: "status",
    summary: "show how old every machine's newest archive is, and what is wrong",
    load: () => import("./status.ts"),
  },
  {
    name: "check",
    summary: "look at everything that a backup needs, and say how to mend it",
    load: () => import("./check.ts"),
  },
  {
    name: "init",
    summary: "write a config to edit, or make a storage folder with its policy",
    load: () => import("./init.ts"),
  },
  {
    name: "serve",
    summary: "answer an agent's request over SSH (run on the storage host by sshd)",
    load: () => import("./serve.ts"),
  },
  {
    name: "help",
    summary: "explain the program or one of its commands",
    load: () => import("./help.ts"),
  },
];
