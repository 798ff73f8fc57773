import { createHash } from "node:crypto";

/** Eight hexadecimal digits that stand for a text. */
export function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
