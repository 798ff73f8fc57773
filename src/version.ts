import config from "../deno.json" with { type: "json" };

/** The version of this plasma; it stands in deno.json. */
export const version: string = config.version;
