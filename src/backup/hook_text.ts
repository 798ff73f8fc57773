import { printable } from "../system/printable.ts";

/** What is said of hooks, and to them: without secrets, and so that it can always be said. */

/** More bytes than this no PLASMA_ variable has; execve(2) takes 128 KiB at most. */
const longestVariable = 4096;

/**
 * The value of a variable for hooks: one line without control characters, of at most 4096 bytes.
 * A longer text loses its middle.
 */
export function variableText(text: string): string {
  const line = printable(text.toWellFormed());
  const bytes = new TextEncoder().encode(line);
  if (bytes.length <= longestVariable) return line;
  const kept = (longestVariable - 3) / 2;
  return `${decodePart(bytes.subarray(0, kept))}...${decodePart(bytes.subarray(-kept))}`;
}

/** A part of UTF-8, without the characters that are cut at its ends. */
function decodePart(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/^\ufffd+|\ufffd+$/g, "");
}

/** An assignment before a command, as far as its value is plain or plainly quoted. */
const assignment = String.raw`[A-Za-z_]\w*=(?:[^\s'"\\$\`;&|<>()#]|'[^']*'|"[^"\\$\`]*")*[ \t]+`;

const firstProgram = new RegExp(`^\\s*(?:${assignment})*([\\w./+-]+)(?=[\\s;&|<>)]|$)`);

/**
 * The name of the program that a command for /bin/sh starts first; undefined if that is not plain
 * to see. Nothing else of the command is in it: passwords are in assignments and arguments.
 */
export function programOf(command: string): string | undefined {
  const [, word] = firstProgram.exec(command) ?? [];
  return word?.split("/").at(-1) || undefined;
}

/** How a hook is called in messages: its place in the config. */
export function placeOf(name: string, index: number): string {
  return `${name}[${index}]`;
}
