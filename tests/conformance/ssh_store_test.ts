import type { Destination } from "../../src/config/destination.ts";
import { openStore } from "../../src/stores/mod.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { withUmask } from "../support/modes.ts";
import { Sshd } from "../support/sshd.ts";
import { testStore } from "./store_suite.ts";

testStore("SshStore", async () => {
  // The storage host lets everybody read everything that does not take care of itself.
  const sshd = await withUmask(0o000, () => Sshd.start());
  const shared = new TemporaryFolder();
  const at = (folder: string): Destination => ({ kind: "ssh", folder, ssh: sshd.settings });
  return {
    open: (storage, folder = shared.path) => openStore(at(storage), { folder }),
    async [Symbol.asyncDispose]() {
      await (await openStore(at("/"), { folder: shared.path }))[Symbol.asyncDispose]();
      await sshd[Symbol.asyncDispose]();
      shared[Symbol.dispose]();
    },
  };
});
