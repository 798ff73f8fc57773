import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertObjectMatch,
  assertRejects,
} from "@std/assert";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { errorCode } from "../../../src/errors.ts";
import { pump, PumpError, type PumpOptions } from "../../../src/system/pump.ts";
import { transfer, TransferError } from "../../../src/system/pump_worker.ts";
import { NamedPipe } from "../../../src/system/named_pipe.ts";
import { joinChunks, start } from "../../../src/system/process.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { Mount } from "../../support/mounts.ts";
import { testThatNeeds } from "../../support/skip.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Bytes that are not all the same. */
function someBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8) * 13) & 0xff);
}

/** Pump a file into another one. */
async function pumpFiles(from: string, to: string, options: Partial<PumpOptions> = {}) {
  const source = fs.openSync(from, "r");
  const sink = fs.openSync(to, "w");
  try {
    return await pump(source, sink, { durable: false, ...options });
  } finally {
    fs.closeSync(source);
    fs.closeSync(sink);
  }
}

const block = 1 << 20;

Deno.test("pump() moves, counts and hashes every byte, whatever the size", async () => {
  using folder = new TemporaryFolder();
  for (const size of [0, 1, 4095, block - 1, block, block + 1, 3 * block + 17]) {
    for (const durable of [false, true]) {
      const content = someBytes(size);
      const from = folder.write("from", content);
      const moved = await pumpFiles(from, folder.at("to"), { durable });
      assertObjectMatch(moved, { bytes: size, sha256: sha256(content) });
      assertEquals(sha256(Deno.readFileSync(folder.at("to"))), moved.sha256);
    }
  }
});

Deno.test("pump() brings a file to the disk that is larger than what it writes at once", async () => {
  using folder = new TemporaryFolder();
  const content = new Uint8Array(70 << 20).fill(1);
  const moved = await pumpFiles(folder.write("from", content), folder.at("to"), { durable: true });
  assertObjectMatch(moved, { bytes: content.length, sha256: sha256(content) });
  assertEquals(Deno.statSync(folder.at("to")).size, content.length);
});

Deno.test("pump() puts bytes that were read before in front", async () => {
  using folder = new TemporaryFolder();
  const content = someBytes(1000);
  const from = folder.write("from", content.subarray(300));
  const prefix = content.subarray(0, 300);
  const moved = await pumpFiles(from, folder.at("to"), { prefix });
  assertObjectMatch(moved, { bytes: 1000, sha256: sha256(content) });
  assertEquals(Deno.readFileSync(folder.at("to")), content);
});

Deno.test("pump() tells how far it is", async () => {
  using folder = new TemporaryFolder();
  const from = folder.write("from", new Uint8Array(2 * block + 5));
  const sums: number[] = [];
  await pumpFiles(from, folder.at("to"), { onProgress: (bytes) => sums.push(bytes) });
  assertEquals(sums, [block, 2 * block, 2 * block + 5]);
});

Deno.test("pump() does not exceed its limit", async () => {
  using folder = new TemporaryFolder();
  const from = folder.write("from", new Uint8Array(2 * block));
  const begin = performance.now();
  await pumpFiles(from, folder.at("to"), { limit: 4 * block });
  // The limit is a promise about the network; how much slower it may be is none.
  assertGreaterOrEqual(performance.now() - begin, 490);
});

/** How a transfer fails. */
async function failureOf(moving: Promise<unknown>): Promise<[string, string | undefined]> {
  const error: PumpError = await assertRejects(() => moving, PumpError);
  return [error.side, errorCode(error.cause)];
}

Deno.test("pump() says that reading failed, and why", async () => {
  using folder = new TemporaryFolder();
  assertEquals(await failureOf(pumpFiles(folder.path, folder.at("to"))), ["read", "EISDIR"]);
});

Deno.test("pump() says that writing failed, and why", async () => {
  using folder = new TemporaryFolder();
  const from = folder.write("from", "x");
  assertEquals(await failureOf(pumpFiles(from, "/dev/full")), ["write", "ENOSPC"]);
  const readOnly = fs.openSync(from, "r");
  const source = fs.openSync(from, "r");
  try {
    assertEquals(await failureOf(pump(source, readOnly, { durable: false })), ["write", "EBADF"]);
  } finally {
    fs.closeSync(readOnly);
    fs.closeSync(source);
  }
});

Deno.test("pump() takes a failed fsync for a failed write", async () => {
  using folder = new TemporaryFolder();
  const from = folder.write("from", "x");
  // A character device cannot be synced.
  assertEquals(await failureOf(pumpFiles(from, "/dev/null", { durable: true })), [
    "write",
    "EINVAL",
  ]);
});

testThatNeeds(["root"], "pump() stops when the disk is full", async () => {
  using folder = new TemporaryFolder();
  await using disk = await Mount.tmpfs(folder.at("disk"), 1);
  const from = folder.write("from", new Uint8Array(3 * block));
  for (const durable of [false, true]) {
    const moving = pumpFiles(from, `${disk.path}/to`, { durable });
    assertEquals(await failureOf(moving), ["write", "ENOSPC"]);
    assert(Deno.statSync(`${disk.path}/to`).size <= block);
  }
});

const hooks = { onOpen() {}, onProgress() {} };

Deno.test("transfer() moves bytes in its worker", async () => {
  using folder = new TemporaryFolder();
  const content = someBytes(2 * block + 3);
  const source = folder.write("from", content);
  const sink = folder.write("to", "");
  let opened = 0;
  const moved = await transfer({ source, sink, durable: true }, {
    onOpen: () => opened++,
    onProgress() {},
  });
  assertObjectMatch(moved, { bytes: content.length, sha256: sha256(content) });
  assertEquals(opened, 1);
  assertEquals(sha256(Deno.readFileSync(sink)), moved.sha256);
});

Deno.test("transfer() says which side failed, and why", async () => {
  using folder = new TemporaryFolder();
  const file = folder.write("file", "x");
  const missing = folder.at("missing");
  const cases: [string, string, boolean, [string, string]][] = [
    [missing, "/dev/null", false, ["read", "ENOENT"]],
    [folder.path, "/dev/null", false, ["read", "EISDIR"]],
    [file, "/dev/full", false, ["write", "ENOSPC"]],
    [file, folder.path, false, ["write", "EISDIR"]],
    [file, missing, true, ["write", "ENOENT"]],
  ];
  for (const [source, sink, durable, expected] of cases) {
    const error: TransferError = await assertRejects(
      () => transfer({ source, sink, durable }, hooks),
      TransferError,
    );
    assertEquals([error.side, error.code], expected, `${source} ${sink}`);
  }
});

Deno.test("transfer() ends when the reader of its sink goes away", async () => {
  using folder = new TemporaryFolder();
  const [pipe] = await NamedPipe.make(folder.path, ["sink"]);
  const end = pipe!.open("r");
  const reader = await start({ program: "sh", args: ["-c", "head -c 10"] }, { stdin: end.file });
  end[Symbol.dispose]();
  const error: TransferError = await assertRejects(
    () =>
      transfer({ source: "/dev/zero", sink: pipe!.path, durable: false }, {
        onOpen: () => pipe!.release(),
        onProgress() {},
      }),
    TransferError,
  );
  assertEquals([error.side, error.code], ["write", "EPIPE"]);
  await reader.exited;
});

Deno.test("pump() without a sink counts and hashes", async () => {
  using folder = new TemporaryFolder();
  const content = someBytes(block + 5);
  const source = fs.openSync(folder.write("from", content), "r");
  const moved = await pump(source, undefined, {});
  fs.closeSync(source);
  assertObjectMatch(moved, { bytes: content.length, sha256: sha256(content) });
});

Deno.test("pump() reads on to the end when nobody takes the bytes any more, if told to", async () => {
  using folder = new TemporaryFolder();
  const content = someBytes(3 * block);
  const [pipe] = await NamedPipe.make(folder.path, ["sink"]);
  const end = pipe!.open("r");
  const reader = await start({ program: "sh", args: ["-c", "head -c 10"] }, { stdin: end.file });
  end[Symbol.dispose]();
  const moved = await transfer(
    { source: folder.write("from", content), sink: pipe!.path, drain: true },
    { onOpen: () => pipe!.release(), onProgress() {} },
  );
  await reader.exited;
  assertObjectMatch(moved, { bytes: content.length, sha256: sha256(content), sinkTookAll: false });
});

Deno.test("pump() knows how a complete tar begins and ends", async () => {
  using folder = new TemporaryFolder();
  const header = new Uint8Array(512).fill(65);
  const framed = async (...parts: Uint8Array[]) => {
    const source = fs.openSync(folder.write("tar", joinChunks(parts)), "r");
    try {
      return (await pump(source, undefined, {})).framedLikeTar;
    } finally {
      fs.closeSync(source);
    }
  };
  assertEquals(await framed(header, new Uint8Array(1024)), true);
  assertEquals(await framed(header, new Uint8Array(2 * block)), true);
  assertEquals(await framed(header, new Uint8Array(1023)), false);
  assertEquals(await framed(header, new Uint8Array(1024), new Uint8Array(1).fill(1)), false);
  assertEquals(await framed(new Uint8Array(10240)), false);
  assertEquals(await framed(), false);
});

Deno.test("row 71: pump() tells an empty tar from a file that has lost its content", async () => {
  using folder = new TemporaryFolder();
  const isEmptyTar = async (content: Uint8Array) => {
    const source = fs.openSync(folder.write("tar", content), "r");
    try {
      return (await pump(source, undefined, {})).isEmptyTar;
    } finally {
      fs.closeSync(source);
    }
  };
  for (const size of [1024, 10240, 65536]) {
    assertEquals(await isEmptyTar(new Uint8Array(size)), true);
  }
  for (const size of [0, 512, 1000, 10241, 65536 + 512, 1 << 20, 3 * block]) {
    assertEquals(await isEmptyTar(new Uint8Array(size)), false, `${size}`);
  }
  assertEquals(await isEmptyTar(new Uint8Array(10240).fill(1, 10239)), false);
});
