/** The one of `possibleWords` that is most like `givenWord`. */
export function closestString(givenWord: string, possibleWords: readonly string[]): string;
/** How many characters must be put in, taken out or changed to make one text of the other. */
export function levenshteinDistance(a: string, b: string): number;
