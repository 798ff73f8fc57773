import { assertEquals, assertMatch } from "@std/assert";
import { type IdentityRecord, isOfMachine, machineIdentity } from "../../../src/system/identity.ts";

const [a, b, c, d] = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"] as const;

const madeOn = (machineId?: string, hardware?: string): IdentityRecord => ({
  identity: "0".repeat(32),
  madeOn: {
    ...(machineId === undefined ? {} : { machineId }),
    ...(hardware === undefined ? {} : { hardware }),
  },
  former: [],
});

Deno.test("row 87: a record is kept on its machine, also when that does not tell all of itself", () => {
  for (const machineId of [a, undefined]) {
    for (const hardware of [b, undefined]) {
      assertEquals(isOfMachine(madeOn(a, b), { machineId, hardware }), true);
    }
  }
  assertEquals(isOfMachine(madeOn(), { machineId: undefined, hardware: undefined }), true);
});

Deno.test("row 87: a record that came with a copy of the disk, or an image, is another machine's", () => {
  assertEquals(isOfMachine(madeOn(a, b), { machineId: c, hardware: b }), false);
  assertEquals(isOfMachine(madeOn(a, b), { machineId: a, hardware: d }), false);
  assertEquals(isOfMachine(madeOn(a, b), { machineId: undefined, hardware: d }), false);
  assertEquals(isOfMachine(madeOn(undefined, b), { machineId: a, hardware: b }), false);
  assertEquals(isOfMachine(madeOn(a), { machineId: a, hardware: b }), false);
});

Deno.test("an identity has eight digits and stays", async () => {
  const { machine } = await machineIdentity();
  assertMatch(machine, /^[0-9a-f]{8}$/);
  assertEquals((await machineIdentity()).machine, machine);
});
