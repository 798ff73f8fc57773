import { assert, assertEquals, assertMatch } from "@std/assert";
import { archivesIn, namesIn } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";
import { receive } from "../support/receive.ts";
import {
  sendStream,
  type StreamCommand,
  subvolumeStream,
  uuidBytes,
} from "../support/send_stream.ts";
import { request, runId, serve } from "../support/serve.ts";
import { sh, tryRun, until } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { digestOf } from "../../src/stores/manifest.ts";
import { sendOverSshTest } from "./send_night.ts";

/** The identity of what an attacker sends. */
const identity = "11111111-2222-3333-4444-555555555555";
const order = { name: "srv", identity };
/** That of an agent of its own: what runs of the same one have begun is taken for dead. */
const otherRun = runId(6, "fedcba98");
const text = (value: string) => new TextEncoder().encode(value);

/**
 * A btrfs with the storage folder of an attacker, whose key may receive there, and that of a victim; in
 * both lies an archive, and a secret beside them.
 */
class Battlefield {
  readonly root: string;
  readonly victim: string;
  readonly flags: string[];

  private constructor(readonly site: Site) {
    this.root = site.addStorage("btrfs/attacker");
    this.victim = site.addStorage("btrfs/victim");
    this.flags = ["--root", this.root, "--allow", "receive,rotate"];
  }

  static async make(site: Site): Promise<Battlefield> {
    const field = new Battlefield(site);
    await site.subvolume("btrfs/source");
    site.write("btrfs/source/secret", "of the victim ".repeat(1000));
    for (const remoteFolder of [field.root, field.victim]) {
      const more = { strategy: "btrfs-send", remoteFolder };
      const { code, stderr } = await site.backUp(["btrfs/source"], more);
      assertEquals(code, 0, stderr);
    }
    site.write("btrfs/secret", "of the host ".repeat(1000));
    return field;
  }

  /** All that is outside of the attacker's uploads, with its content. */
  async outside(): Promise<string> {
    const script = `cd "$0" && prune="-path ./source -o -path ./attacker/.plasma -o -name *.sent"
      find . \\( $prune \\) -prune -o ! -path ./attacker -printf '%p %y %m %U %s %T@ %l\\n' | sort
      find . \\( $prune \\) -prune -o -type f -exec sha256sum {} + | sort`;
    return await sh("sh", "-c", script, this.site.at("btrfs"));
  }

  async send(
    commands: readonly StreamCommand[],
    {
      stream = subvolumeStream("x", identity, commands),
      orders = [order] as object[],
      run = runId(),
    } = {},
  ) {
    const { root, flags } = this;
    return await receive(
      { folder: root, run, orders: orders as (typeof order)[], flags },
      stream,
    );
  }

  /** The archive of a victim as a stream of the attacker would name it. */
  async stored(folder: string): Promise<{ path: string; identity: string }> {
    const path = `${folder}/${archivesIn(folder).at(-1)}`;
    const name = namesIn(path).find((name) => name !== "manifest.json")!;
    const text = await sh("btrfs", "subvolume", "show", `${path}/${name}`);
    return { path: `${path}/${name}`, identity: /Received UUID:\s+(\S+)/.exec(text)![1]! };
  }
}

/** Streams that want to reach what is not theirs; `victim` is the path of a stored subvolume. */
const attacks: Readonly<
  Record<string, (paths: Record<"victim" | "own", string>) => StreamCommand[]>
> = {
  "a link, and a file through it": ({ victim }) => [
    ["symlink", { path: "link", ino: 300, pathLink: victim }],
    ["mkfile", { path: "link/new", ino: 301 }],
  ],
  "a link, and bytes through it": ({ victim }) => [
    ["symlink", { path: "link", ino: 300, pathLink: `${victim}/secret` }],
    ["write", { path: "link", offset: 0, data: text("overwritten") }],
  ],
  "a path that goes up": ({ victim }) => [
    ["mkfile", { path: "../../../../../../../../../../../../tmp/plasma-attack", ino: 300 }],
    ["write", {
      path: `../../../../../../..${victim}/secret`,
      offset: 0,
      data: text("overwritten"),
    }],
  ],
  "an absolute path": ({ victim }) => [
    ["write", { path: `${victim}/secret`, offset: 0, data: text("overwritten") }],
  ],
  "unlink": (
    { victim },
  ) => [["unlink", { path: `../../../../../../..${victim}/../manifest.json` }]],
  "unlink in the own storage folder":
    () => [["unlink", { path: "../../../../plasma-rotate.json" }]],
  "rmdir": ({ victim }) => [["rmdir", { path: `../../../../../../..${victim}` }]],
  "rename": ({ victim }) => [
    ["rename", { path: `../../../../../../..${victim}/..`, pathTo: "stolen" }],
  ],
  "rename in the own storage folder": ({ own }) => [
    ["rename", { path: `../../../..${own}/..`, pathTo: "gone" }],
  ],
  "a hard link": ({ victim }) => [
    ["link", { path: "linked", pathLink: `../../../../../../..${victim}/secret` }],
  ],
  "chmod": ({ victim }) => [["chmod", { path: `../../../../../../..${victim}/..`, mode: 0o777 }]],
  "chown": ({ victim }) => [
    ["chown", { path: `../../../../../../..${victim}/..`, uid: 1000, gid: 1000 }],
  ],
  "an extended attribute": ({ victim }) => [["setXattr", {
    path: `../../../../../../..${victim}/..`,
    xattrName: "user.attack",
    xattrData: text("1"),
  }]],
  "truncate": ({ own }) => [["truncate", { path: `../../../..${own}/../manifest.json`, size: 0 }]],
};

btrfsTest("row 47: no stream reads or changes what is outside of its upload", async (site) => {
  const field = await Battlefield.make(site);
  const paths = {
    victim: (await field.stored(field.victim)).path,
    own: (await field.stored(field.root)).path,
  };
  const before = await field.outside();
  assertMatch(before, /victim\/.*manifest\.json f 600/);
  for (const [what, attack] of Object.entries(attacks)) {
    const { ok, answer, wasReady } = await field.send(attack(paths));
    assert(wasReady, what);
    assertEquals([ok, answer.count], [true, 0], `${what}: ${JSON.stringify(answer)}`);
    assertEquals(await field.outside(), before, what);
    assertEquals((await tryRun("ls", "/tmp/plasma-attack")).code, 2, what);
  }
  const { ok } = await serve(request("abort", { folder: field.root, run: runId() }), field.flags);
  assert(ok);
  assertEquals(namesIn(`${field.root}/.plasma/incoming`), []);
});

btrfsTest("row 47: a stream that makes a device node cannot write to the device", async (site) => {
  const field = await Battlefield.make(site);
  await sh("truncate", "-s", "16M", site.at("disk"));
  const device = (await sh("losetup", "--find", "--show", site.at("disk"))).trim();
  try {
    const [major, minor] = (await sh("stat", "-c", "%t %T", device)).trim().split(" ");
    const rdev = (BigInt(`0x${major}`) << 8n) | BigInt(`0x${minor}`);
    const { answer } = await field.send([
      ["mknod", { path: "disk", ino: 300, mode: 0o60600, rdev }],
      ["write", { path: "disk", offset: 0, data: text("overwritten") }],
    ]);
    assertEquals(answer.count, 0);
    await sh("sync", device);
    assertEquals(await sh("head", "-c", "11", site.at("disk")), "\0".repeat(11));
    // As a part of a backup it may come.
    const made = await field.send([["mknod", { path: "disk", ino: 300, mode: 0o60600, rdev }]]);
    assertEquals(made.answer.count, 1);
  } finally {
    await sh("losetup", "--detach", device);
  }
});

btrfsTest("row 47: a stream clones only out of its own storage folder", async (site) => {
  const field = await Battlefield.make(site);
  const [own, victim] = [await field.stored(field.root), await field.stored(field.victim)];
  const clone = (cloneUuid: string, clonePath: string): StreamCommand[] => [
    ["mkfile", { path: "file", ino: 300 }],
    ["clone", {
      path: "file",
      offset: 0,
      cloneLength: 8192,
      cloneUuid: uuidBytes(cloneUuid),
      cloneTransid: 7,
      clonePath,
      cloneOffset: 0,
    }],
  ];
  const refused: Record<string, StreamCommand[]> = {
    "by the uuid of the victim's": clone(victim.identity, "secret"),
  };
  for (const ups of [3, 4, 5, 6, 9]) {
    for (const path of ["secret", `victim/${victim.path.split("/").slice(-2).join("/")}/secret`]) {
      refused[`${ups} up to ${path}`] = clone(own.identity, `${"../".repeat(ups)}${path}`);
    }
    refused[`${ups} up, by the whole path`] = clone(
      own.identity,
      `${"../".repeat(ups)}${site.at("btrfs/secret").slice(1)}`,
    );
  }
  for (const [what, commands] of Object.entries(refused)) {
    const { answer } = await field.send(commands);
    assertEquals(answer.count, 0, what);
  }
  const snapshot: StreamCommand[] = [["snapshot", {
    path: "x",
    uuid: uuidBytes(identity),
    transid: 7,
    cloneUuid: uuidBytes(victim.identity),
    cloneTransid: 7,
  }], ["end"]];
  assertEquals((await field.send([], { stream: sendStream(snapshot) })).answer.count, 0);
  // What is in the own folder it may: increments do.
  const { answer } = await field.send(clone(own.identity, "secret"));
  assertEquals(answer.count, 1, JSON.stringify(answer));
});

btrfsTest("row 47: a stream makes nothing beside what was announced", async (site) => {
  const field = await Battlefield.make(site);
  const end = subvolumeStream("y", identity.replaceAll("1", "9"), []);
  const good = subvolumeStream("x", identity, []);
  const both = new Uint8Array([...good, ...end]);
  const manifest = JSON.stringify({ version: 2, run: runId(), bytes: 1, subvolumes: [order] });
  const folder: StreamCommand[] = [
    ["mkfile", { path: "../manifest.json", ino: 300 }],
    ["write", { path: "../manifest.json", offset: 0, data: text(manifest) }],
    ["mkdir", { path: "../folder", ino: 301 }],
    ["symlink", { path: "../link", ino: 302, pathLink: "/etc" }],
    ["mkfifo", { path: "../fifo", ino: 303 }],
    ["mkfile", { path: "../received.jsonl", ino: 304 }],
  ];
  const strange: Record<string, Uint8Array> = {
    "two subvolumes instead of one": both,
    "files beside it": subvolumeStream("x", identity, folder),
    "only others": end,
    "a folder instead of a subvolume": sendStream([
      ["mkdir", { path: "srv", ino: 300 }],
      ["mkfile", { path: "manifest.json", ino: 301 }],
      ["end"],
    ]),
    "an end, and no beginning": sendStream([["end"]]),
    "a subvolume of which the name goes up": subvolumeStream("../x", identity, []),
    "no end": subvolumeStream("x", identity, [], { isComplete: false }),
    "half a command": good.subarray(0, good.length - 5),
    "nothing": new Uint8Array(),
    "no stream": text("no stream at all"),
    "a name in two lines": subvolumeStream("x\nID 999 gen 7 top level 5", identity, []),
  };
  for (const [what, stream] of Object.entries(strange)) {
    const run = runId(Object.keys(strange).indexOf(what) + 1);
    const { answer } = await field.send([], { stream, run });
    assertMatch(String(answer.refusal ?? (answer.error as { message: string }).message), /./, what);
    const incoming = `${field.root}/.plasma/incoming/${run}.btrfs/in`;
    const isHere = ["two subvolumes instead of one", "files beside it"].includes(what);
    assertEquals(namesIn(incoming), isHere ? ["srv"] : [], what);
    await serve(request("abort", { folder: field.root, run }), field.flags);
  }
  const subvolumes = await sh("btrfs", "subvolume", "list", site.at("btrfs"));
  assertEquals(subvolumes.includes("incoming"), false, subvolumes);
});

btrfsTest("row 47: subvolumes moved into one another are removed with the upload", async (site) => {
  const field = await Battlefield.make(site);
  const identities = [identity, identity.replaceAll("1", "9")];
  const first = subvolumeStream("a", identities[0]!, []);
  const second = subvolumeStream("b", identities[1]!, [
    ["mkdir", { path: "folder", ino: 300 }],
    ["rename", { path: "../a", pathTo: "folder/a" }],
    ["mkdir", { path: "../\x01", ino: 301 }],
  ]);
  const orders = identities.map((identity, index) => ({ name: `s${index}`, identity }));
  const stream = new Uint8Array([...first, ...second]);
  const { answer } = await field.send([], { stream, orders });
  assert((answer.count as number | undefined ?? 0) <= 1, JSON.stringify(answer));
  await serve(request("abort", { folder: field.root, run: runId() }), field.flags);
  assertEquals(namesIn(`${field.root}/.plasma/incoming`), []);
  assertEquals(
    (await sh("btrfs", "subvolume", "list", site.at("btrfs"))).includes("incoming"),
    false,
  );
});

btrfsTest("row 47: nothing takes the place of a stored subvolume", async (site) => {
  const field = await Battlefield.make(site);
  const stored = await field.stored(field.root);
  const orders = [{ name: "srv", identity: stored.identity }];
  const write: StreamCommand[] = [
    ["mkfile", { path: "secret", ino: 300 }],
    ["write", { path: "secret", offset: 0, data: text("of the attacker") }],
  ];
  const stream = subvolumeStream("x", stored.identity, write);
  const { ok, answer, wasReady } = await field.send([], { stream, orders });
  assertEquals([ok, wasReady], [false, false], JSON.stringify(answer));
  assertEquals((answer.error as { code: string }).code, "stored");
  assertEquals(namesIn(`${field.root}/.plasma/incoming`), []);
  // Under another one it may come, and the server goes on as if there were nothing.
  const other = subvolumeStream("x", identity, write);
  assertEquals((await field.send([], { stream: other })).answer.count, 1);
  for (const change of ["", "more of the victim"]) {
    if (change !== "") site.write("btrfs/source/more", change);
    const { code, stderr } = await site.backUp(["btrfs/source"], {
      strategy: "btrfs-send",
      remoteFolder: field.root,
    });
    assertEquals(code, 0, stderr);
    const { path } = await field.stored(field.root);
    assertEquals(await sh("diff", "-r", site.at("btrfs/source"), path), "");
  }
});

btrfsTest("row 47: what another upload brings is built upon by none", async (site) => {
  const field = await Battlefield.make(site);
  const stored = await field.stored(field.root);
  site.write("btrfs/source/secret", "of the next day ".repeat(1000));
  await sh("btrfs", "subvolume", "snapshot", "-r", site.at("btrfs/source"), site.at("btrfs/next"));
  const kept = (await sh("sh", "-c", 'ls -d "$0"/.plasma/*', site.at("btrfs"))).trim().split("\n");
  const parents = await Promise.all(kept.map(async (path) => {
    return (await sh("btrfs", "subvolume", "show", path)).includes(stored.identity) ? [path] : [];
  }));
  const parent = parents.flat()[0]!;
  const file = site.at("increment");
  await sh("btrfs", "send", "-q", "-p", parent, "-f", file, site.at("btrfs/next"));
  const next = /^\s+UUID:\s+(\S+)/m.exec(
    await sh("btrfs", "subvolume", "show", site.at("btrfs/next")),
  )![1]!;
  const increment = { orders: [{ name: "srv", identity: next, parent: stored.identity }] };
  const bytes = Deno.readFileSync(file);
  const flags = field.flags;
  assertEquals(
    (await field.send([], { ...increment, stream: bytes, run: runId(4) })).answer.count,
    1,
    "what is stored may be built upon",
  );
  await serve(request("abort", { folder: field.root, run: runId(4) }), flags);
  // Now only the attacker has something of that uuid, in an upload that does not end.
  await sh("btrfs", "subvolume", "delete", stored.path);
  const fake = subvolumeStream("x", stored.identity, [["mkfile", { path: "secret", ino: 300 }]]);
  const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
  async function* stream() {
    yield fake;
    await isOver;
  }
  const attack = receive({ folder: field.root, run: runId(5), orders: [order], flags }, stream());
  const arrived = `${field.root}/.plasma/incoming/${runId(5)}.btrfs/in/x`;
  await until("it has arrived", async () => {
    const { stdout } = await tryRun("btrfs", "subvolume", "show", arrived);
    return stdout.includes(stored.identity);
  });
  const { answer } = await field.send([], { ...increment, stream: bytes, run: otherRun });
  assertEquals(answer.count, 0, JSON.stringify(answer));
  end();
  await attack;
});

btrfsTest("row 49: what was received is not committed as something else", async (site) => {
  const field = await Battlefield.make(site);
  const archives = archivesIn(field.root);
  const { answer } = await field.send([]);
  assertEquals(answer.count, 1);
  const records = [{ ...order, path: "/srv" }];
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const claims = [
    { kind: "tar", bytes: 0, sha256: empty },
    { kind: "tar.zst", bytes: 0, sha256: digestOf(records) },
    { kind: "btrfs", bytes: 0, sha256: empty },
  ];
  for (const claim of claims.slice(0, 2)) {
    const commit = request("commit", { folder: field.root, run: runId(), ...claim });
    const { ok } = await serve(commit, field.flags);
    assertEquals(ok, false, claim.kind);
    assertEquals(archivesIn(field.root), archives);
  }
  const good = { kind: "btrfs", bytes: 5, sha256: digestOf(records) };
  const commit = (claim: object) =>
    serve(request("commit", { folder: field.root, run: runId(), ...claim }), field.flags);
  const stored = () => {
    const lines = Deno.readTextFileSync(`${field.root}/.plasma/journal.jsonl`).trim().split("\n");
    return lines.filter((line) => line.includes(runId())).length;
  };
  for (let time = 0; time < 2; time++) {
    const { ok, answer } = await commit(good);
    assertEquals([ok, archivesIn(field.root).length], [true, 2], JSON.stringify(answer));
  }
  assertEquals((await commit({ ...good, sha256: empty })).ok, false);
  await commit({ ...good, bytes: 500 });
  assertEquals(stored(), 1, "the journal says it once");
  // A list of other subvolumes is no list of these, and then nothing is left.
  const second = { ...order, identity: identity.replaceAll("1", "9") };
  const stream = subvolumeStream("x", second.identity, []);
  await field.send([], { run: runId(2), orders: [second], stream });
  const wrong = request("commit", { folder: field.root, run: runId(2), ...claims[2] });
  const { ok, message } = await serve(wrong, field.flags);
  assertEquals(ok, false);
  assertMatch(message, /other subvolumes/);
  assertEquals(namesIn(`${field.root}/.plasma/incoming`), []);
  assertEquals(archivesIn(field.root).length, 2);
});

btrfsTest(
  "row 82: no link in .plasma is followed when uploads and trash are removed",
  async (site) => {
    const field = await Battlefield.make(site);
    const before = await field.outside();
    const victim = (await field.stored(field.victim)).path;
    const folder = victim.slice(0, victim.lastIndexOf("/"));
    const plasmaFolder = `${field.root}/.plasma`;
    const incoming = `${plasmaFolder}/incoming`;
    const run = runId(3);
    const abort = request("abort", { folder: field.root, run });
    const leave = async (target: string, place: string) => {
      await sh("rm", "-rf", place);
      await sh("ln", "-s", target, place);
    };
    for (const target of [folder, victim, field.victim]) {
      await leave(target, `${incoming}/${run}.btrfs`);
      await serve(abort, field.flags);
      assertEquals(namesIn(incoming), [], target);
      await sh("mkdir", `${incoming}/${run}.btrfs`);
      await leave(target, `${incoming}/${run}.btrfs/in`);
      await serve(abort, field.flags);
      assertEquals(namesIn(incoming), [], target);
      await leave(target, `${plasmaFolder}/trash`);
      await plasma(["rotate", field.root]);
      await sh("rm", "-f", `${plasmaFolder}/trash`);
      await sh("mkdir", `${plasmaFolder}/trash`);
      await leave(target, `${plasmaFolder}/trash/20200101-0000-daily.btrfs`);
      await plasma(["rotate", field.root]);
      assertEquals(namesIn(plasmaFolder).includes("trash"), false, target);
      await leave(target, incoming);
      await serve(abort, field.flags);
      await sh("rm", "-f", incoming);
      await sh("mkdir", "-m", "0700", incoming);
      assertEquals(await field.outside(), before, target);
    }
  },
);

btrfsTest(
  "row 51: --max-size, --idle-timeout and --max-uploads hold for subvolumes",
  async (site) => {
    const field = await Battlefield.make(site);
    const block = new Uint8Array(40_000);
    const large = Array.from({ length: 100 }, (_, index): StreamCommand => [
      "write",
      { path: "file", offset: index * block.length, data: block },
    ]);
    const stream = subvolumeStream("x", identity, [
      ["mkfile", { path: "file", ino: 300 }],
      ...large,
    ]);
    const code = ({ answer }: { answer: Record<string, unknown> }) =>
      (answer.error as { code?: string } | undefined)?.code;
    const incoming = `${field.root}/.plasma/incoming`;
    const send = (limits: string[], streams: Parameters<typeof receive>[1], run = runId()) =>
      receive(
        { folder: field.root, run, orders: [order], flags: [...field.flags, ...limits] },
        streams,
      );

    assertEquals(code(await send(["--max-size", "1M"], stream)), "max-size");
    assertEquals(namesIn(incoming), []);
    assertEquals(code(await send(["--max-size", String(stream.length - 1)], stream)), "max-size");
    const fits = await send(["--max-size", String(stream.length)], stream);
    assertEquals(fits.answer.count, 1, JSON.stringify(fits.answer));
    assertEquals(
      code(await send(["--max-uploads", "1"], stream, runId(2, "fedcba98"))),
      "max-uploads",
    );
    await serve(request("abort", { folder: field.root, run: runId() }), field.flags);

    async function* stalling() {
      yield stream.subarray(0, 1000);
      await new Promise((resolve) => setTimeout(resolve, 15_000));
    }
    const begin = performance.now();
    const idle = await send(["--idle-timeout", "1s"], stalling());
    assertEquals(code(idle), "idle");
    assert(performance.now() - begin < 25_000);
    assertEquals(namesIn(incoming), []);
  },
);

sendOverSshTest(
  "row 84: a thief does not take a stored uuid while another folder has the same names",
  async (site, nights) => {
    const { storage } = nights;
    await nights.runWell();
    const [archive] = nights.archives;
    const [stored] = nights.records();
    // His own server stores in the same minute, under the same name, in another folder.
    const other = crypto.randomUUID();
    const beside = site.addStorage("store/beside");
    const orders = [{ name: stored!.name, path: "/q", identity: other }];
    const run = runId(3, "cccccccc");
    const flags = (folder: string) => ["--root", folder, "--allow", "receive,rotate"];
    await receive(
      { folder: beside, run, orders, flags: flags(beside) },
      subvolumeStream("q", other, []),
    );
    const commit = { folder: beside, run, kind: "btrfs", bytes: 1, sha256: digestOf(orders) };
    const { answer } = await serve(request("commit", commit), flags(beside));
    await sh("mv", "-T", `${beside}/${answer.name}`, `${beside}/${archive}`).catch(() => {});
    assertEquals(namesIn(beside).includes(archive!), true);
    const evil = [
      { name: "x", path: "/x", identity: stored!.identity },
      { name: "y", path: "/y", identity: other },
    ];
    const second = await receive(
      { folder: storage, run: runId(9, "bbbbbbbb"), orders: evil, flags: flags(storage) },
      subvolumeStream("x", stored!.identity, []),
    );
    assertMatch(JSON.stringify(second.answer), /a subvolume of this uuid is stored already/);
    site.write("btrfs/data/more", "honest");
    await nights.runWell();
    assertEquals(site.read(`${nights.stored().slice(site.path.length + 1)}/more`), "honest");
  },
);
