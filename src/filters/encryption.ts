import { PlasmaError, UsageError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { type Stage, strictStage } from "../system/pipeline.ts";
import { run } from "../system/process.ts";
import type { Filter } from "./mod.ts";

/** For whom archives are encrypted; public keys only, so that the agent cannot read them back. */
export interface EncryptionSettings {
  readonly recipients?: readonly string[] | undefined;
  /** A file with a recipient a line. */
  readonly recipientsFile?: string | undefined;
}

/**
 * The filter for encrypted archives; undefined for open ones. The recipients are tried out, so that
 * a wrong one is found before anything is run.
 *
 * @throws {PlasmaError} with age's own words, if it does not accept the recipients
 */
export async function encryptionFilter(
  settings: EncryptionSettings | undefined,
): Promise<Filter | undefined> {
  if (settings === undefined) return undefined;
  const { recipients = [], recipientsFile } = settings;
  const args = [
    "--encrypt",
    ...recipients.flatMap((recipient) => ["--recipient", recipient]),
    ...(recipientsFile === undefined ? [] : ["--recipients-file", recipientsFile]),
  ];
  const command = { program: "age", args };
  const { exit, messages } = await run(command, { input: "" });
  if (exit.code !== 0) {
    const words = messages.lines.filter((line) => !line.includes("report unexpected")).join(" / ");
    throw new PlasmaError("encryption", words.replace(/^age: error: /, ""), {
      status: ExitStatus.Usage,
      code: "usage",
      remedy: "mend the recipients",
    });
  }
  return { suffix: ".age", encoder: strictStage(command, "encryption") };
}

/** True for archives that are encrypted. */
export const isEncrypted = (kind: string) => kind.endsWith(".age");

/**
 * The program that decrypts an archive of the given kind; undefined if it is not encrypted.
 *
 * @throws {UsageError} if it is encrypted and there is no identity
 */
export function decryptor(kind: string, identity: string | undefined): Stage | undefined {
  if (!isEncrypted(kind)) return undefined;
  if (identity === undefined) {
    throw new UsageError(
      "decryption",
      "the archive is encrypted",
      "name the file with the secret key: --identity FILE",
    );
  }
  const command = { program: "age", args: ["--decrypt", "--identity", identity] };
  return strictStage(command, "decryption");
}
