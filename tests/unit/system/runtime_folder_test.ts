import { assert, assertEquals } from "@std/assert";
import { randomBytes } from "node:crypto";
import { machineIdentity } from "../../../src/system/identity.ts";
import { isAlive, RunPlace } from "../../../src/system/runtime_folder.ts";
import { modeOf } from "../../support/modes.ts";

/** An owner that no other run has. */
const { machine } = await machineIdentity();
const someOwner = () => ({ machine, target: randomBytes(4).toString("hex") });

/** The id of a run that is not under way any more, and its folder, which it has left. */
async function deadRun(): Promise<{ id: string; folder: string }> {
  let dead;
  {
    await using place = await RunPlace.enter(someOwner());
    dead = { id: place!.id, folder: place!.folder };
  }
  Deno.mkdirSync(`${dead.folder}/below`, { recursive: true });
  return dead;
}

const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);

Deno.test("one run at a time has the place of a destination", async () => {
  const owner = someOwner();
  {
    await using place = await RunPlace.enter(owner);
    assertEquals(modeOf(place!.folder), 0o700);
    assertEquals(await RunPlace.enter(owner), undefined);
    await using other = await RunPlace.enter(someOwner());
    assert(other !== undefined);
    assertEquals(await exists(place!.folder), true);
    assertEquals(await isAlive(place!.id, someOwner()), true);
  }
  await using again = await RunPlace.enter(owner);
  assert(again !== undefined);
});

Deno.test("a run leaves no folder, and removes those of dead runs", async () => {
  const dead = await deadRun();
  assertEquals(await isAlive(dead.id, someOwner()), false);
  let folder;
  {
    await using place = await RunPlace.enter(someOwner());
    folder = place!.folder;
    assertEquals([await exists(dead.folder), await exists(folder)], [false, true]);
  }
  assertEquals(await exists(folder), false);
});

Deno.test("runs to many destinations that begin and end at the same time do not disturb each other", async () => {
  const run = async () => {
    for (let round = 0; round < 10; round++) {
      await using place = await RunPlace.enter(someOwner());
      assertEquals(await exists(place!.folder), true);
    }
  };
  await Promise.all(Array.from({ length: 12 }, run));
});
