/** A name as `tar --quoting-style=escape` prints it in the C locale. */
export const escapeName = (name: string) => escapeBytes(new TextEncoder().encode(name));

const letters = "abtnvfr"; // from 7 on

/** The bytes of a name as `tar --quoting-style=escape` prints them in the C locale. */
export function escapeBytes(name: Uint8Array): string {
  return [...name].map((byte) => {
    if (byte === 92) return "\\\\";
    if (byte >= 7 && byte <= 13) return `\\${letters[byte - 7]}`;
    if (byte >= 32 && byte < 127) return String.fromCharCode(byte);
    return `\\${byte.toString(8).padStart(3, "0")}`;
  }).join("");
}

/** The bytes of an escaped name. */
export function unescapeName(name: string): Uint8Array {
  const plain = name.replace(/\\(?:([0-7]{3})|(.))/g, (_, octal, letter) => {
    if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8));
    return letter === "\\" ? letter : String.fromCharCode(7 + letters.indexOf(letter));
  });
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}
