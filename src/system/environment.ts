/**
 * A variable of the environment; undefined also for one that is not valid UTF-8, which Deno cannot
 * read.
 */
export function environmentVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (error instanceof Deno.errors.InvalidData) return undefined;
    throw error;
  }
}
