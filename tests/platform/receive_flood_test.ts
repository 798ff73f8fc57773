import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { piped, plasma, startPlasma } from "../support/plasma.ts";
import { measuringMemory } from "../support/processes.ts";
import { type Order, receive } from "../support/receive.ts";
import {
  sendStream,
  type StreamCommand,
  subvolumeStream,
  uuidBytes,
} from "../support/send_stream.ts";
import { digestOf } from "../../src/stores/manifest.ts";
import { request, runId, serve } from "../support/serve.ts";
import { tryRun, until } from "../support/sh.ts";
import { btrfsTest } from "../support/site.ts";

const identityOf = (index: number) =>
  `11111111-2222-3333-4444-${index.toString(16).padStart(12, "0")}`;
const order = { name: "srv", identity: identityOf(0) };

/** A subvolume that is moved to the end of folders whose path is nearly too long by itself. */
function deepStream(): Uint8Array {
  const commands: StreamCommand[] = [];
  let path = "../p";
  for (let ino = 300; path.length < 4060; ino++) {
    commands.push(["mkdir", { path, ino }]);
    path += "/" + "d".repeat(Math.min(250, 4079 - path.length));
  }
  commands.push(["mkdir", { path, ino: 290 }]);
  commands.push(["rename", { path: "../x", pathTo: `${path}/x` }]);
  return subvolumeStream("x", identityOf(0), commands, { isComplete: false });
}

btrfsTest(
  "rows 49, 51: a subvolume at a path that is too long stops no other storage, and is removed",
  async (site) => {
    const attacker = site.addStorage("btrfs/attacker");
    const remoteFolder = site.addStorage("btrfs/victim");
    await site.addBtrfs("other");
    await site.subvolume("other/source");
    const backUp = async () => {
      const { code, stderr } = await site.backUp(["other/source"], {
        strategy: "btrfs-send",
        remoteFolder,
      });
      assertEquals(code, 0, stderr);
    };
    await backUp();
    const list = () => tryRun("btrfs", "subvolume", "list", site.at("btrfs"));
    let failed = false;
    const incoming = `${attacker}/.plasma/incoming`;
    async function* stream() {
      yield deepStream();
      while ((await list()).code === 0) await new Promise((resolve) => setTimeout(resolve, 100));
      failed = true;
      // In the middle of it the neighbour makes a backup upon the one before, and verifies both.
      site.write("other/source/file", "changed");
      await backUp();
      const { code, stdout } = await plasma(["verify", "--all", "--from", remoteFolder]);
      assertEquals(code, 0, stdout);
    }
    const flags = ["--root", attacker, "--allow", "receive"];
    const sent = await receive(
      { folder: attacker, run: runId(), orders: [order], flags },
      stream(),
    );
    assert(failed);
    assertEquals([sent.answer.count, archivesIn(remoteFolder).length], [0, 2]);
    assertEquals((await list()).code, 0);
    assertEquals(namesIn(`${incoming}/${runId()}.btrfs/in`), []);
  },
);

btrfsTest(
  "row 51: a flood of subvolumes that nobody announced is removed at once",
  async (site) => {
    const root = site.addStorage("btrfs/attacker");
    const incoming = `${root}/.plasma/incoming`;
    const send = (run: string, count: number) => {
      const streams = Array.from(
        { length: count },
        (_, index) => subvolumeStream(`x${index}`, identityOf(index), []),
      );
      const flags = ["--root", root, "--allow", "receive"];
      return receive({ folder: root, run, orders: [order], flags }, joined(streams));
    };
    const one = await send(runId(1), 2);
    assertEquals([one.answer.count, one.answer.refusal], [
      1,
      "what was received is not what was announced",
    ]);
    assertEquals(namesIn(`${incoming}/${runId(1)}.btrfs/in`), ["srv"]);
    const flood = await send(runId(2), 40);
    assertStringIncludes(flood.message, "something else than what was announced; all was removed");
    assertEquals(namesIn(incoming).filter((name) => name.startsWith(runId(2))), []);
  },
);

btrfsTest(
  "row 87: an upload whose last streams took long is left to be committed",
  async (site) => {
    const root = site.addStorage("btrfs/storage");
    const incoming = `${root}/.plasma/incoming`;
    const flags = ["--root", root, "--allow", "receive"];
    const send = (run: string, index: number, wait: () => void = () => {}) => {
      const name = `s${index}`;
      async function* streams() {
        wait();
        yield subvolumeStream(name, identityOf(index), []);
      }
      return receive(
        { folder: root, run, orders: [{ name, identity: identityOf(index) }], flags },
        streams(),
      );
    };
    const age = (path: string) => {
      const time = Date.now() / 1000 - 3600;
      Deno.utimeSync(path, time, time);
    };
    const upload = `${incoming}/${runId(1)}`;
    await send(runId(1), 1);
    // As if all that changes no time of a file had taken an hour.
    await send(runId(1), 2, () => {
      for (const path of [".part", ".btrfs", ".btrfs/received.jsonl"]) age(upload + path);
    });
    assertEquals((await send(runId(2), 3)).answer.count, 1);
    assertEquals(namesIn(`${upload}.btrfs/in`), ["s1", "s2"]);
    for (const path of [".part", ".btrfs", ".btrfs/received.jsonl"]) age(upload + path);
    assertEquals((await send(runId(3), 4)).answer.count, 1);
    assertEquals(namesIn(incoming).includes(`${runId(1)}.btrfs`), false);
  },
);

btrfsTest(
  "row 51: a list of orders that takes far more memory than bytes is refused",
  async (site) => {
    const root = site.addStorage("btrfs/attacker");
    const flags = ["--root", root, "--allow", "receive", "--max-uploads", "1"];
    const memory = site.at("memory");
    const through = ["sh", "-c", 'exec "$@" 2>"$0"', memory, ...measuringMemory];
    const send = (run: string, orders: string) =>
      receive({ folder: root, run, orders, flags, through }, new Uint8Array());
    const codeIn = ({ answer }: { answer: Record<string, unknown> }) =>
      (answer.error as { code?: string } | undefined)?.code;
    const list = (item: string, count: number) => `[${Array(count).fill(item).join()}]`;
    const orders = Array.from(
      { length: 10_000 },
      (_, index) => ({
        name: `s${index}`,
        path: `/[{,"\\\u0001`,
        identity: identityOf(index),
        copy: true,
      }),
    );
    for (const wrong of [list("{}", 500_000), list("[[]]", 500_000)]) {
      assertEquals(codeIn(await send(runId(1), wrong)), "protocol");
      const kilobytes = Number(site.read("memory").trimEnd().split("\n").at(-1));
      assert(kilobytes > 10_000 && kilobytes < 250_000, `${kilobytes} KiB`);
      assertEquals(namesIn(`${root}/.plasma/incoming`), []);
    }
    // As many as there may be are read.
    assertStringIncludes((await send(runId(1), JSON.stringify(orders))).message, "is not stored");
    const more = JSON.stringify([...orders, order]);
    assertEquals(codeIn(await send(runId(2, "fedcba98"), more)), "protocol");
  },
  ["program python3"],
);

btrfsTest(
  "row 51: what an archive holds of names and paths is bounded, over all of its uploads",
  async (site) => {
    const root = site.addStorage("btrfs/attacker");
    const flags = ["--root", root, "--allow", "receive"];
    /** Each takes some 24 kB of a manifest. */
    const orders = Array.from({ length: 400 }, (_, index) => ({
      name: `s${index}`,
      path: `/${"\u0001".repeat(4000)}`,
      identity: identityOf(index),
    }));
    const send = (run: string, wanted: typeof orders) =>
      receive(
        { folder: root, run, orders: wanted, flags },
        joined(wanted.map(({ name, identity }) => subvolumeStream(name, identity, []))),
      );
    const all = await send(runId(1), orders);
    assertEquals([all.wasReady, (all.answer.error as { code: string }).code], [false, "max-size"]);
    assertStringIncludes(all.message, "no more than 10000 subvolumes, with 8388608 bytes");
    assertEquals((await send(runId(2), orders.slice(0, 200))).answer.count, 200);
    const more = await send(runId(2), orders.slice(200));
    assertEquals(more.wasReady, false);
    assertStringIncludes(more.message, "these are 400, with ");
    const kept = orders.slice(0, 340);
    assertEquals((await send(runId(3), kept)).answer.count, 340);
    const commit = { folder: root, run: runId(3), kind: "btrfs", bytes: 1, sha256: digestOf(kept) };
    assertEquals((await serve(request("commit", commit), flags)).answer.ok, true);
    const { stderr } = await plasma(["serve", ...flags], {
      stdin: request("hello", { folder: root, subvolumes: true }),
      through: measuringMemory,
    });
    const kilobytes = Number(stderr.trimEnd().split("\n").at(-1));
    assert(kilobytes > 10_000 && kilobytes < 200_000, `${kilobytes} KiB`);
  },
  ["program python3"],
);

btrfsTest(
  "row 53: an answer has little more bytes than the numbers of what is missing",
  async (site) => {
    const root = site.addStorage("btrfs/attacker");
    const orders = Array.from({ length: 10_000 }, (_, index) => ({
      name: `s${index}`,
      identity: identityOf(index),
    }));
    const { name, identity } = orders[0]!;
    const tooLong = `${"\u0001".repeat(250)}/`.repeat(16);
    const flags = ["--root", root, "--allow", "receive"];
    const { answer } = await receive(
      { folder: root, run: runId(), orders, flags },
      subvolumeStream(name, identity, [["mkdir", { path: tooLong, ino: 300 }]]),
    );
    assertEquals([answer.count, (answer.missing as number[]).length], [0, 10_000]);
    assertEquals([answer.isCut, (answer.refusal as string).length <= 4000], [true, true]);
    assertStringIncludes(String(answer.refusal), "failed: No such file");
    assert(JSON.stringify(answer).length < 100_000);
  },
);

btrfsTest("row 49: no name and no identity comes twice in one upload", async (site) => {
  const root = site.addStorage("btrfs/attacker");
  const flags = ["--root", root, "--allow", "receive"];
  const [x, y] = [identityOf(1), identityOf(2)];
  const twice = [{ name: "a", identity: y }, { name: "b", identity: x }];
  for (const [run, again] of twice.entries()) {
    const send = (order: Order) => {
      const stream = subvolumeStream(order.name, order.identity, []);
      return receive({ folder: root, run: runId(run), orders: [order], flags }, stream);
    };
    assertEquals((await send({ name: "a", identity: x })).answer.count, 1);
    const { wasReady, message } = await send(again);
    assertEquals(wasReady, false);
    assertStringIncludes(message, "it has come already for this upload");
  }
});

btrfsTest("row 51: a root with thousands of names is not read into memory", async (site) => {
  const root = site.addStorage("btrfs/attacker");
  const flags = ["--root", root, "--allow", "receive"];
  const files = (names: readonly string[]): StreamCommand[] =>
    names.map((path, index) => ["mkfile", { path, ino: 1000 + index }]);
  const send = (run: string, order: Order, stream: Uint8Array) =>
    receive({ folder: root, run, orders: [order], flags }, stream);
  const many = Array.from({ length: 3000 }, (_, index) => `${index}-${"x".repeat(50)}`);
  const [old, good, torn] = [identityOf(1), identityOf(2), identityOf(3)];
  const order = { name: "old", identity: old };
  await send(runId(1), order, subvolumeStream("old", old, files(many)));
  const claim = { kind: "btrfs", bytes: 1, sha256: digestOf([{ path: "/old", ...order }]) };
  const commit = request("commit", { folder: root, run: runId(1), ...claim });
  assertEquals((await serve(commit, flags)).ok, true);
  const upon = (identity: string, commands: readonly StreamCommand[]) => {
    const uuid = uuidBytes(identity);
    const parent = { cloneUuid: uuidBytes(old), cloneTransid: 7n };
    const begin: StreamCommand = ["snapshot", { path: "new", uuid, transid: 7n, ...parent }];
    return sendStream([begin, ...commands, ["end"]]);
  };
  const next = (identity: string) => ({ name: "new", identity, parent: old });
  assertEquals((await send(runId(2), next(good), upon(good, files(["o1-2"])))).answer.count, 1);
  const refused = await send(runId(3), next(torn), upon(torn, files(["o257-10-0"])));
  assertStringIncludes(String(refused.answer.refusal), "may leave of a deleted folder");
  assertEquals([refused.answer.count, refused.answer.isCut], [0, false]);
});

btrfsTest("row 51: who sends no list keeps nobody else from being served", async (site) => {
  const root = site.addStorage("btrfs/storage");
  const silent = Array.from({ length: 6 }, (_, index) => {
    const child = startPlasma(["serve", "--root", root, "--allow", "receive"], { stdin: piped });
    const parameters = { folder: root, run: runId(index, `fedcba0${index}`), stream: "tar" };
    const line = request("receive", { ...parameters, orders: 1 << 20 });
    const writer = child.child.stdin.getWriter();
    return { ...child, writer, sent: writer.write(new TextEncoder().encode(line)) };
  });
  await Promise.all(silent.map(({ sent }) => sent));
  await until("their uploads begin", () => namesIn(`${root}/.plasma/incoming`).length >= 4, 30);
  const start = performance.now();
  assertEquals((await serve(request("hello", { folder: root }), ["--root", root])).ok, true);
  assert(performance.now() - start < 20_000);
  await Promise.all(silent.map(({ writer }) => writer.close()));
  await Promise.all(silent.map(({ output }) => output));
});

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
