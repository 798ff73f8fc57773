import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { piped, startPlasma } from "../support/plasma.ts";
import { claimOf, request, runId, serve } from "../support/serve.ts";
import { until } from "../support/sh.ts";
import { ageUploads, assertAllVerify, fingerprints } from "../support/storage.ts";

const run = runId();
const other = runId(2, "fedcba98");

Deno.test("hello says what is there and changes nothing", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  folder.write("storage/20200101-0000-daily.tar", "12345");
  const before = namesIn(storage);
  const { code, ok, answer } = await serve(request("hello", { folder: storage }));
  assertEquals([code, ok, answer.protocol, answer.newestBytes], [0, true, 1, 5]);
  assertEquals(
    (answer.allow as string[]).toSorted(),
    ["abort", "commit", "fetch", "hello", "list", "receive", "rotate", "store", "verify"],
  );
  assertEquals(namesIn(storage), before);
});

Deno.test("store and commit make an archive, list shows it, a second commit gives the same (row 30)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const content = "an archive\0\n with more than a line";
  const stored = await serve(request("store", { folder: storage, run }, content));
  assertEquals(stored.answer, { protocol: 1, ok: true, ...claimOf(content) });
  assertEquals(archivesIn(storage), []);

  const commit = request("commit", { folder: storage, run, kind: "tar", ...claimOf(content) });
  const first = await serve(commit);
  assertEquals(first.ok, true);
  const name = String(first.answer.name);
  assertEquals(Deno.readTextFileSync(`${storage}/${name}`), content);
  await assertAllVerify(storage);
  const before = await fingerprints(storage);

  const again = await serve(commit);
  assertEquals(again.answer, first.answer);
  assertEquals(await fingerprints(storage), before);
  const list = await serve(request("list", { folder: storage }));
  assertEquals((list.answer.archives as { name: string }[]).map((row) => row.name), [name]);
  assertEquals(namesIn(`${storage}/.plasma/incoming`), []);
});

const content = "0123456789".repeat(1000);
const good = claimOf(content);
const wrongClaims: readonly (readonly [what: string, claim: object])[] = [
  ["too few bytes", { bytes: good.bytes + 1 }],
  ["too many bytes", { bytes: good.bytes - 1 }],
  ["a wrong checksum", { sha256: claimOf("x").sha256 }],
  ["nothing", claimOf("")],
];

for (const [what, claim] of wrongClaims) {
  Deno.test(`a commit that claims ${what} is refused and the upload is gone (row 30)`, async () => {
    using folder = new TemporaryFolder();
    const storage = folder.storage("storage");
    assertEquals((await serve(request("store", { folder: storage, run }, content))).ok, true);
    const parameters = { folder: storage, run, kind: "tar", ...good };
    const refused = await serve(request("commit", { ...parameters, ...claim }));
    assertEquals([refused.code, refused.ok], [1, false]);
    assertStringIncludes(refused.message, "what arrived is not what was sent");
    const late = await serve(request("commit", parameters));
    assertStringIncludes(late.message, "there is no complete upload of this run");
    assertEquals([archivesIn(storage), namesIn(`${storage}/.plasma/incoming`)], [[], []]);
  });
}

Deno.test("an upload without commit is never an archive, and the next one removes it (row 30)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  for (const id of [runId(1), other]) {
    await serve(request("store", { folder: storage, run: id }, "x"));
  }
  await ageUploads(storage);
  assertEquals((await serve(request("list", { folder: storage }))).answer.archives, []);
  await serve(request("rotate", { folder: storage }));
  await serve(request("store", { folder: storage, run: runId(3) }, "y"));
  assertEquals(
    namesIn(`${storage}/.plasma/incoming`),
    [`${runId(3)}.part`, `${runId(3)}.received`],
  );
});

Deno.test("a commit without upload, and one before the upload's end, are refused (row 30)", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const commit = request("commit", { folder: storage, run, kind: "tar", ...claimOf("abc") });
  assertStringIncludes((await serve(commit)).message, "no complete upload");

  const { child, output } = startPlasma(["serve"], { stdin: piped });
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(request("store", { folder: storage, run }, "abc")));
  await until("the upload is begun", () => namesIn(`${storage}/.plasma/incoming`).length === 1);
  assertStringIncludes((await serve(commit)).message, "no complete upload");
  await writer.close();
  assertEquals((await output).code, 0);
  assertEquals((await serve(commit)).ok, true);
  assertEquals(archivesIn(storage).length, 1);
});

Deno.test("abort removes an upload, but no archive", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  await serve(request("store", { folder: storage, run }, "abc"));
  assertEquals((await serve(request("abort", { folder: storage, run }))).ok, true);
  assertEquals(namesIn(`${storage}/.plasma/incoming`), []);

  await serve(request("store", { folder: storage, run }, "abc"));
  await serve(request("commit", { folder: storage, run, kind: "tar", ...claimOf("abc") }));
  assertEquals((await serve(request("abort", { folder: storage, run }))).ok, true);
  assertEquals(archivesIn(storage).length, 1);
  await assertAllVerify(storage);
});

Deno.test("a second upload of a run that is being written is refused", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  await serve(request("store", { folder: storage, run }, "first"));
  const { child, output } = startPlasma(["serve"], { stdin: piped });
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(request("store", { folder: storage, run: other })));
  await until(
    "it is begun",
    () => namesIn(`${storage}/.plasma/incoming`).includes(`${other}.part`),
  );
  assertEquals((await serve(request("store", { folder: storage, run: other }, "x"))).ok, false);
  await writer.close();
  assertEquals((await output).code, 0);
});

/** What is no request. */
const nonsense: readonly (readonly [what: string, input: string | Uint8Array, message: RegExp])[] =
  [
    ["nothing", "", /the input ended before a request/],
    ["an empty line", "\n", /no JSON/],
    ["half a line", '{"protocol":1', /the input ended before a request/],
    ["garbage", "hello?\n", /no JSON/],
    ["binary", crypto.getRandomValues(new Uint8Array(1000)).fill(10, 999), /no JSON|not a request/],
    [
      "a line of 1 MB",
      `{"protocol":1,"verb":"hello","folder":"${"x".repeat(1 << 20)}"}\n`,
      /too long/,
    ],
    ["1 MB without a line", "x".repeat(1 << 20), /too long/],
    ["a list", "[1]\n", /./],
    ["null", "null\n", /no JSON object/],
    ["no protocol", '{"verb":"hello","folder":"/"}\n', /protocol must be 1/],
    ["another protocol", '{"protocol":2,"verb":"hello","folder":"/"}\n', /protocol must be 1/],
    ["no verb", '{"protocol":1,"folder":"/"}\n', /verb must be one of/],
    ["an unknown verb", request("delete", { folder: "/" }), /verb must be one of/],
    ["a verb of JavaScript", request("constructor", { folder: "/" }), /verb must be one of/],
    ["no folder", request("hello", {}), /folder is missing or wrong/],
    ["a folder that is a number", request("hello", { folder: 5 }), /folder is missing or wrong/],
    ["a folder with a NUL", request("hello", { folder: "/x\0y" }), /no storage folder/],
    [
      "a run that is a path",
      request("store", { folder: "/", run: "../../x" }),
      /run is missing or wrong/,
    ],
    [
      "a run in a path",
      request("abort", { folder: "/", run: `${run}/x` }),
      /run is missing or wrong/,
    ],
    [
      "a kind that is a path",
      request("commit", { folder: "/", run, kind: "tar/../x", ...good }),
      /kind/,
    ],
    [
      "a size below 0",
      request("commit", { folder: "/", run, kind: "tar", ...good, bytes: -1 }),
      /bytes/,
    ],
    [
      "a checksum of one byte",
      request("commit", { folder: "/", run, kind: "tar", bytes: 1, sha256: "a" }),
      /sha256/,
    ],
  ];

for (const [what, input, message] of nonsense) {
  Deno.test(`serve refuses ${what} in one line (row 38)`, async () => {
    const { code, ok, message: said } = await serve(input);
    assertEquals([code, ok], [1, false]);
    assertMatch(said, message);
  });
}

for (
  const [what, make] of [
    ["is missing", () => {}],
    ["has no policy", (path: string) => Deno.mkdirSync(path)],
    ["is a file", (path: string) => Deno.writeTextFileSync(path, "x")],
  ] as const
) {
  Deno.test(`no verb makes anything of a storage folder that ${what} (row 32)`, async () => {
    using folder = new TemporaryFolder();
    make(folder.at("storage"));
    const parameters = { folder: folder.at("storage"), run, kind: "tar", ...claimOf("x") };
    for (const verb of ["hello", "store", "commit", "abort", "list", "rotate"]) {
      const { ok } = await serve(request(verb, parameters, "x"));
      assertEquals(ok, verb === "abort", verb);
    }
    const isFolder = what === "has no policy";
    assertEquals(namesIn(folder.path), what === "is missing" ? [] : ["storage"]);
    if (isFolder) assertEquals(namesIn(folder.at("storage")), []);
  });
}
