/**
 * Words of others - names of files, messages of programs and of the other machine - on their way to a
 * terminal or a log: names may hold anything but NUL and "/".
 */

/**
 * What does not stand for itself: control characters (C0, DEL, C1: among them newlines and all escape
 * sequences), line and paragraph separators, and what changes the direction of the text around it
 * (UAX #9) or is not seen at all (Default_Ignorable_Code_Point of UAX #44: of no width, soft hyphens,
 * fillers, tags; also what joins the parts of an emoji).
 */
const unprintable =
  // deno-lint-ignore no-control-regex
  /[\x00-\x1f\x7f-\x9f\u2028-\u202e\p{Default_Ignorable_Code_Point}]/gu;

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text that is one line and does nothing to a terminal: such characters are escaped. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) => short[character] ?? escapeCode(character));
}

/** JSON that does nothing to a terminal, and means the same. Its own line breaks stay. */
export function printableJson(text: string): string {
  return text.replaceAll(
    unprintable,
    (character) => character === "\n" ? character : escapeUnits(character),
  );
}

function escapeCode(character: string): string {
  return character <= "\xff"
    ? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`
    : escapeUnits(character);
}

/** As JSON has it: what is beyond U+FFFF is two. */
function escapeUnits(character: string): string {
  return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

/** A text, cut off to so many characters. */
export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}

/** A text without its middle, if it has more characters: the reason of an error stands at its end. */
export function withoutMiddle(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = Math.floor((length - 3) / 2);
  return `${text.slice(0, head)}...${text.slice(head + 3 - length)}`;
}
