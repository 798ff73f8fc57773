import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import fs from "node:fs";
import { PlasmaError } from "../../../src/errors.ts";
import { judgeTar } from "../../../src/strategies/judge_tar.ts";
import { Producer, type Stage, strictStage } from "../../../src/system/pipeline.ts";
import { namesIn, TemporaryFolder } from "../../support/folders.ts";

/** A stage whose program is called by a name in messages. */
const shell = (name: string, script: string): Stage => ({
  command: { program: "sh", args: ["-c", script] },
  judge: strictStage({ program: name, args: [] }, "archive").judge,
});

/** How a pipeline ended whose output was read to its end. */
interface End {
  readonly bytes: number;
  readonly warnings: readonly string[];
}

/** Read all that a pipeline puts out, then ask it whether that was all. */
async function readAll(
  stages: readonly Stage[],
  during?: (pipeline: Producer) => void,
): Promise<End> {
  using folder = new TemporaryFolder();
  await using pipeline = await Producer.start(stages, folder.path);
  const source = fs.openSync(pipeline.path, "r");
  pipeline.onOpen();
  assertEquals(namesIn(folder.path), [], "no pipe keeps its name");
  let bytes = 0;
  try {
    const block = new Uint8Array(64 << 10);
    for (;;) {
      const count = fs.readSync(source, block, 0, block.length, null);
      if (count === 0) break;
      if (bytes === 0) during?.(pipeline);
      bytes += count;
    }
  } finally {
    fs.closeSync(source);
  }
  return { bytes, warnings: await pipeline.finish() };
}

async function failureOf(...args: Parameters<typeof readAll>): Promise<string> {
  const error: PlasmaError = await assertRejects(() => readAll(...args), PlasmaError);
  assertEquals(error.code, "source");
  return error.message;
}

Deno.test("a pipeline's bytes come through all of its programs", async () => {
  const stages = [
    shell("first", "head -c 1000000 /dev/zero"),
    shell("second", "tr '\\0' x"),
    shell("third", "cat; printf end"),
  ];
  assertEquals(await readAll(stages), { bytes: 1_000_003, warnings: [] });
});

Deno.test("a pipeline gives the warnings of all of its programs", async () => {
  const warner = (name: string): Stage => ({
    command: { program: "sh", args: ["-c", `cat; echo ${name} >&2`] },
    judge: (_, messages) => messages,
  });
  assertEquals((await readAll([warner("a"), warner("b")])).warnings, ["a", "b"]);
});

Deno.test("the end of a producer that is killed is not the end of the data", async () => {
  const endless = shell("tar", "exec cat /dev/zero");
  const kill = ({ programs }: Producer) => programs.children[0]!.kill("SIGKILL");
  assertEquals(await failureOf([endless], kill), "tar was killed by SIGKILL");
  assertEquals(
    await failureOf([endless, shell("zstd", "exec cat")], kill),
    "tar was killed by SIGKILL",
  );
});

Deno.test("a producer that fails at its end fails the pipeline, with its last words", async () => {
  const failing = shell("tar", "head -c 100000 /dev/zero; echo one >&2; echo two >&2; exit 2");
  assertEquals(await failureOf([failing]), "tar exited with status 2: one / two");
  assertEquals(
    await failureOf([failing, shell("zstd", "cat")]),
    "tar exited with status 2: one / two",
  );
});

Deno.test("a tar that ends early with status 0 is found out", async () => {
  const early: Stage = {
    command: { program: "sh", args: ["-c", "head -c 100000 /dev/zero; exit 0"] },
    judge: (exit, messages) => judgeTar(exit, messages, () => true),
  };
  assertEquals(await failureOf([early]), "tar ended before the archive was complete");
});

Deno.test("a filter that ends early with status 0 is found out by its producer", async () => {
  const message = await failureOf([
    shell("tar", "exec cat /dev/zero"),
    shell("zstd", "head -c 10; exit 0"),
  ]);
  assertStringIncludes(message, "ended before it had read everything");
});

Deno.test("a filter that ends with status 0 and leaves the last bytes unread is found out", async () => {
  const message = await failureOf([
    shell("tar", "head -c 1000 /dev/zero"),
    shell("zstd", "sleep 0.2; exit 0"),
  ]);
  assertStringIncludes(message, "ended before it had read everything");
});

Deno.test("a filter that fails is blamed, and not the producer that it took along", async () => {
  const failing = shell("zstd", "head -c 10 >/dev/null; echo no memory >&2; exit 1");
  assertEquals(
    await failureOf([shell("tar", "exec cat /dev/zero"), failing, shell("age", "cat")]),
    "zstd exited with status 1: no memory",
  );
});

Deno.test("a filter that fails is blamed also when its producer reports the broken pipe itself", async () => {
  const failing = shell("zstd", "head -c 10 >/dev/null; echo no memory >&2; exit 1");
  const message = await failureOf([
    shell("tar", "trap '' PIPE; cat /dev/zero; exit 2"),
    failing,
  ]);
  assertStringIncludes(message, "zstd exited with status 1: no memory");
});

Deno.test("a pipeline whose reader goes away ends, and fails", async () => {
  using folder = new TemporaryFolder();
  await using pipeline = await Producer.start(
    [shell("tar", "exec cat /dev/zero"), shell("zstd", "exec cat")],
    folder.path,
  );
  const source = fs.openSync(pipeline.path, "r");
  pipeline.onOpen();
  fs.closeSync(source);
  const error: PlasmaError = await assertRejects(() => pipeline.finish(), PlasmaError);
  assertStringIncludes(error.message, "was killed by SIGPIPE");
});

Deno.test("a pipeline that is disposed leaves neither process nor pipe", async () => {
  using folder = new TemporaryFolder();
  const pids = [];
  {
    await using pipeline = await Producer.start(
      [shell("tar", "exec cat /dev/zero"), shell("zstd", "exec cat")],
      folder.path,
    );
    pids.push(...pipeline.programs.children.map(({ process }) => process.pid));
    assert(namesIn(folder.path).length > 0);
  }
  assertEquals(namesIn(folder.path), []);
  for (const pid of pids) assertEquals(fs.existsSync(`/proc/${pid}`), false);
});

Deno.test("a pipeline of which one program cannot be started leaves nothing", async () => {
  using folder = new TemporaryFolder();
  const missing: Stage = {
    command: { program: "plasma-no-such-program", args: [] },
    judge: () => [],
  };
  await assertRejects(
    () => Producer.start([shell("tar", "exec cat /dev/zero"), missing], folder.path),
    PlasmaError,
    "not installed",
  );
  assertEquals(namesIn(folder.path), []);
});
