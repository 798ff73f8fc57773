import { PlasmaError, statusOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/** What was looked at, and what came out. */
export interface Finding {
  readonly what: string;
  /** "failed": a backup would fail, or leave something out that it should not. */
  readonly state: "ok" | "warning" | "failed";
  readonly detail: string;
  readonly remedy?: string | undefined;
}

/** Collects findings. */
export class Checkup {
  readonly findings: Finding[] = [];

  add(what: string, state: Finding["state"], details: readonly string[]): void {
    this.findings.push(...details.map((detail) => ({ what, state, detail })));
  }

  /**
   * Look at something; an error is a finding.
   *
   * @param look adds what it finds by itself, or returns what is good
   * @returns whether there was no error
   */
  async look(what: string, look: () => string | Promise<string>): Promise<boolean> {
    try {
      this.add(what, "ok", [await look()]);
      return true;
    } catch (error) {
      if (!(error instanceof PlasmaError) || statusOf(error) === ExitStatus.Locked) throw error;
      this.findings.push({ what, state: "failed", detail: error.message, remedy: error.remedy });
      return false;
    }
  }

  get isGood(): boolean {
    return this.findings.every(({ state }) => state !== "failed");
  }
}
