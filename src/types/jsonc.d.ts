/** Parse JSON with comments and trailing commas. Throws `SyntaxError` ("... at position N"). */
export function parse(text: string): unknown;
