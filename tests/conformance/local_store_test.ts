import { openStore } from "../../src/stores/mod.ts";
import { testStore } from "./store_suite.ts";

testStore("LocalStore", () =>
  Promise.resolve({
    open: (storage) => openStore({ kind: "local", folder: storage }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }));
