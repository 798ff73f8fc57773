import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn, TemporaryFolder } from "../support/folders.ts";
import { piped, startPlasma } from "../support/plasma.ts";
import { claimOf, request, runId, serve } from "../support/serve.ts";
import { until } from "../support/sh.ts";
import { assertAllVerify } from "../support/storage.ts";

const run = runId();

/** A session that has begun an upload and goes on writing. */
async function beginUpload(storage: string, first: string) {
  const { child, output } = startPlasma(["serve"], { stdin: piped });
  const writer = child.stdin.getWriter();
  const send = (text: string) => writer.write(new TextEncoder().encode(text));
  await send(request("store", { folder: storage, run }, first));
  const part = `${storage}/.plasma/incoming/${run}.part`;
  const isBegun = () => namesIn(`${storage}/.plasma/incoming`).includes(`${run}.part`);
  await until("the upload is begun", isBegun);
  return { part, send, writer, output };
}

const commitOf = (storage: string, content: string, kind = "tar") =>
  request("commit", { folder: storage, run, kind, ...claimOf(content) });

Deno.test("row 49: what is being written is neither removed nor begun anew", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  const upload = await beginUpload(storage, "first ");
  const { ino } = Deno.lstatSync(upload.part);
  await serve(request("abort", { folder: storage, run }));
  assertEquals(Deno.lstatSync(upload.part).ino, ino);
  const second = await serve(request("store", { folder: storage, run }, "second"));
  assertEquals([second.ok, codeIn(second)], [false, "in-use"]);
  assertStringIncludes(second.message, "an upload of this run already");
  await upload.send("and last");
  await upload.writer.close();
  assertEquals(JSON.parse((await upload.output).stdout).bytes, 14);
  assertEquals((await serve(commitOf(storage, "second"))).ok, false);
  assertEquals(archivesIn(storage), []);
});

Deno.test("row 49: another file in place of the one that was hashed is never an archive", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  assertEquals((await serve(request("store", { folder: storage, run }, "content"))).ok, true);
  const part = `${storage}/.plasma/incoming/${run}.part`;
  // As another session could do it that removes an upload and begins it anew.
  Deno.renameSync(part, folder.at("kept"));
  Deno.writeTextFileSync(part, "CONTENT");
  const refused = await serve(commitOf(storage, "content"));
  assertEquals([refused.ok, codeIn(refused)], [false, "mismatch"]);
  assertEquals([archivesIn(storage), namesIn(`${storage}/.plasma/incoming`)], [[], []]);
});

Deno.test("row 49: subvolumes that were received are not committed as a tar", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage");
  await serve(request("store", { folder: storage, run }, "content"));
  Deno.mkdirSync(`${storage}/.plasma/incoming/${run}.btrfs`);
  const refused = await serve(commitOf(storage, "content"));
  assertEquals([refused.ok, codeIn(refused)], [false, "kind"]);
  assertEquals(archivesIn(storage), []);
});

Deno.test("row 49: of two sessions that store the same run at once one is refused, commits at once give one archive", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 100 });
  const contents = ["a".repeat(100_000), "b".repeat(200_000)];
  const stored = await Promise.all(
    contents.map((content) => serve(request("store", { folder: storage, run }, content))),
  );
  assertEquals(stored.map(({ ok }) => ok).sort(), [false, true]);
  const content = contents[stored.findIndex(({ ok }) => ok)]!;
  const commits = await Promise.all(
    [1, 2, 3].map(() => serve(commitOf(storage, content))),
  );
  assertEquals(new Set(commits.map(({ answer }) => answer.name)).size, 1);
  assertEquals(archivesIn(storage).length, 1);
  await assertAllVerify(storage);
});

Deno.test("row 49: whatever sessions do with the same few runs, each archive is one whole upload", async () => {
  using folder = new TemporaryFolder();
  const storage = folder.storage("storage", { daily: 1000 });
  const random = (below: number) => Math.floor(Math.random() * below);
  const contents = Array.from(
    { length: 6 },
    (_, index) => String(index).repeat([1, 10, 70_000, 1 << 20, 300_000, (1 << 21) + 1][index]!),
  );
  const deadline = Date.now() + 12_000;
  let committed = 0;
  const act = async () => {
    const own = runId(random(3), "89abcdef");
    const content = contents[random(contents.length)]!;
    const parameters = { folder: storage, run: own, kind: "tar", ...claimOf(content) };
    const verb = ["store", "store", "commit", "abort"][random(4)]!;
    const pieces = [request(verb, parameters), ...(verb === "store" ? [content] : [])];
    const { child, output } = startPlasma(["serve"], { stdin: piped });
    const writer = child.stdin.getWriter();
    try {
      for (const piece of pieces) {
        await writer.write(new TextEncoder().encode(piece));
        if (random(3) === 0) await new Promise((resolve) => setTimeout(resolve, random(100)));
      }
      if (random(8) === 0) child.kill("SIGKILL");
      await writer.close();
    } catch {
      // The session was refused or killed before it had read all.
    }
    const { stdout } = await output;
    if (verb === "store" && stdout.includes('"ok":true')) {
      const { answer } = await serve(request("commit", parameters));
      if (answer.ok) committed++;
    }
  };
  const worker = async () => {
    while (Date.now() < deadline) await act();
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  await assertAllVerify(storage);
  const archives = archivesIn(storage);
  for (const name of archives) {
    assert(contents.includes(Deno.readTextFileSync(`${storage}/${name}`)), `${name} is whole`);
  }
  assert(committed > 3 && archives.length > 3, `${committed} commits`);
});

function codeIn({ answer }: { answer: Record<string, unknown> }): unknown {
  return (answer.error as { code: string } | undefined)?.code;
}
