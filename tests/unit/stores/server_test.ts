import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { PlasmaError } from "../../../src/errors.ts";
import { maximumRequest, type Verb, verbs } from "../../../src/stores/protocol.ts";
import { readRequest, serveRequest } from "../../../src/stores/server.ts";
import { namesIn, TemporaryFolder } from "../../support/folders.ts";

const run = "20261123T084405Z-0123abcd-89abcdef-00000000";
const sha256 = "0".repeat(64);

/** Requests with all that each verb needs. */
const parameters: Record<Verb, object> = {
  hello: {},
  store: { run },
  commit: { run, kind: "tar", bytes: 0, sha256 },
  abort: { run },
  list: {},
  fetch: { name: "20260101-0000-daily.tar" },
  verify: { name: "20260101-0000-daily.tar" },
  receive: { run, stream: "tar", orders: 2 },
  rotate: {},
};

const noStreams = {
  input: 0 as const,
  prefix: new Uint8Array(),
  answer: () => Promise.resolve(),
  send: () => Promise.resolve(),
  places: {
    giveBack() {},
    enter: () => Promise.resolve(),
    whileOthersWork: <T>(wait: () => Promise<T>) => wait(),
  },
};

const serve = (
  line: string,
  { allow = verbs, root }: { allow?: readonly Verb[]; root?: string } = {},
) => serveRequest(line, noStreams, { allow: new Set(allow), root });

const ask = (verb: Verb, folder: string, limits: Parameters<typeof serve>[1] = {}) =>
  serve(JSON.stringify({ protocol: 1, verb, folder, ...parameters[verb] }), limits);

async function codeOf(answer: Promise<object | undefined>): Promise<string> {
  const error: PlasmaError = await assertRejects(() => answer, PlasmaError);
  return error.code;
}

Deno.test("serveRequest() refuses every verb that its key may not use, before it looks at anything", async () => {
  for (const verb of verbs) {
    const others = verbs.filter((other) => other !== verb);
    assertEquals(await codeOf(ask(verb, "/nonexistent", { allow: others })), "not-allowed", verb);
    // Allowed: the folder is looked for (abort never fails).
    const alone = ask(verb, "/nonexistent", { allow: [verb] });
    if (verb === "abort") assertEquals(await alone, { gone: false });
    else assertEquals(await codeOf(alone), "no-folder", verb);
  }
});

Deno.test("serveRequest() refuses whatever is no request", async () => {
  const hello = { protocol: 1, verb: "hello", folder: "/d" };
  const lines = [
    "",
    "{",
    "null",
    "5",
    "[]",
    "{}",
    "\x00\x01\xff",
    JSON.stringify({ ...hello, protocol: 2 }),
    JSON.stringify({ ...hello, verb: "delete" }),
    JSON.stringify({ ...hello, verb: "__proto__" }),
    JSON.stringify({ ...hello, folder: "" }),
    JSON.stringify([hello]),
  ];
  for (const line of lines) assertEquals(await codeOf(serve(line)), "protocol", line);
});

Deno.test("serveRequest() confines every verb to the root", async () => {
  using folder = new TemporaryFolder();
  const root = folder.at("root");
  folder.storage("root/inside");
  folder.storage("root-sibling");
  const outside = folder.storage("outside");
  Deno.symlinkSync(outside, `${root}/link`);
  const refused = [
    outside,
    folder.path,
    "/",
    `${root}-sibling`,
    `${root}/../outside`,
    `${root}/inside/../../outside`,
    `${root}/link`,
    `${root}/missing`,
    "..",
    "relative",
    `${root}\u0000`,
    `${root}/inside\n`,
  ];
  for (const verb of verbs) {
    for (const path of refused) {
      assertEquals(await codeOf(ask(verb, path, { root })), "outside", `${verb} ${path}`);
    }
  }
  assertEquals(namesIn(outside), ["plasma-rotate.json"]);
  assertEquals(namesIn(`${root}-sibling`), ["plasma-rotate.json"]);
});

Deno.test("serveRequest() finds folders in the root, also through links that stay inside", async () => {
  using folder = new TemporaryFolder();
  const inside = folder.storage("root/inside");
  const root = folder.at("root");
  Deno.symlinkSync("inside", `${root}/link`);
  for (const path of [inside, `${root}/link`, `${root}//inside/`]) {
    assertEquals(await ask("list", path, { root }), { archives: [], foreign: [] });
  }
  assertEquals(await ask("list", inside, { root: inside }), { archives: [], foreign: [] });
  assertEquals(await ask("list", inside, { root: "/" }), { archives: [], foreign: [] });
});

Deno.test("serveRequest() does not tell what exists outside of the root", async () => {
  using folder = new TemporaryFolder();
  Deno.mkdirSync(folder.at("root"));
  const words = async (path: string) => {
    const refusal = ask("list", path, { root: folder.at("root") });
    const error: PlasmaError = await assertRejects(() => refusal, PlasmaError);
    return error.message.replace(path, "PATH");
  };
  folder.storage("outside");
  assertEquals(await words(folder.at("outside")), await words(folder.at("nothing")));
});

/** A reader that gives the given pieces, then the end of the input, or nothing any more. */
function readerOf(pieces: readonly string[], end: "end" | "silence") {
  const left = pieces.map((piece) => new TextEncoder().encode(piece));
  return (buffer: Uint8Array): Promise<number | null> => {
    const piece = left.shift();
    if (piece === undefined) {
      return end === "end" ? Promise.resolve(null) : new Promise(() => {});
    }
    const count = Math.min(piece.length, buffer.length);
    buffer.set(piece.subarray(0, count));
    if (count < piece.length) left.unshift(piece.subarray(count));
    return Promise.resolve(count);
  };
}

Deno.test("readRequest() keeps what it has read beyond the line", async () => {
  const text = new TextDecoder();
  const splits = [["{}\nab\ncd"], ["{", "}", "\n", ""], ["{}", "\nab\ncd"], ["{}\n"]];
  for (const pieces of splits) {
    const { line, rest } = await readRequest(readerOf(pieces, "silence"), 60_000);
    assertEquals(line, "{}");
    const whole = pieces.join("");
    const read = `{}\n${text.decode(rest)}`;
    assertEquals(whole.startsWith(read), true);
    if (pieces.length === 1) assertEquals(read, whole);
  }
});

Deno.test("readRequest() ends within bounds: too long a line, too early an end, silence", async () => {
  const refusalOf = async (reader: ReturnType<typeof readerOf>, timeoutMs = 60_000) => {
    const error: PlasmaError = await assertRejects(
      () => readRequest(reader, timeoutMs),
      PlasmaError,
    );
    return error.message;
  };
  const long = "x".repeat(maximumRequest);
  assertStringIncludes(await refusalOf(readerOf([long, long, "\n"], "end")), "too long");
  assertStringIncludes(await refusalOf(readerOf([], "end")), "ended before a request");
  assertStringIncludes(await refusalOf(readerOf([`{"verb"`], "end")), "ended before a request");
  assertStringIncludes(await refusalOf(readerOf([], "silence"), 1), "no request came in time");
  assertStringIncludes(await refusalOf(readerOf(["{"], "silence"), 1), "no request came in time");
});

Deno.test("readRequest() takes a line of the greatest length", async () => {
  const longest = "x".repeat(maximumRequest - 1);
  const { line } = await readRequest(readerOf([longest, "\n"], "end"), 60_000);
  assertEquals(line, longest);
});
