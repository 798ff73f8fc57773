import type { Coverage, Source, Strategy } from "./mod.ts";

/** Archives nothing: an empty file. For trying out hooks, the storage and the rotation. */
export class NoopStrategy implements Strategy {
  prepare(): Promise<void> {
    return Promise.resolve();
  }

  survey(): Promise<Coverage> {
    return Promise.resolve({ folders: [], notices: ["strategy noop: the archive will be empty"] });
  }

  open(): Promise<Source> {
    return Promise.resolve({
      kind: "tar",
      frozen: false,
      command: undefined,
      judge: () => [],
      close: () => Promise.resolve([]),
    });
  }
}
