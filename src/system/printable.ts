/**
 * Words of others - names of files, messages of programs and of the other machine - on their way to a
 * terminal or a log: names may hold anything but NUL and "/".
 */

/**
 * What does not stand for itself: control characters (C0, DEL, C1: among them newlines and all escape
 * sequences), line and paragraph separators, and what changes the direction of the text around it
 * (UAX #9) or is not seen at all.
 */
// deno-lint-ignore no-control-regex
const unprintable = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text that is one line and does nothing to a terminal: such characters are escaped. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) => short[character] ?? escapeCode(character));
}

/** JSON that does nothing to a terminal, and means the same. Its own line breaks stay. */
export function printableJson(text: string): string {
  return text.replaceAll(
    unprintable,
    (character) => character === "\n" ? character : `\\u${hexOf(character, 4)}`,
  );
}

function escapeCode(character: string): string {
  return character <= "\xff" ? `\\x${hexOf(character, 2)}` : `\\u${hexOf(character, 4)}`;
}

function hexOf(character: string, width: number): string {
  return character.charCodeAt(0).toString(16).padStart(width, "0");
}
