import type { Strategy, Survey } from "./mod.ts";

/** Archives nothing: an empty file. For trying out hooks, the storage and the rotation. */
export class NoopStrategy implements Strategy {
  readonly archives = "stream";

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  survey(): Promise<Survey> {
    return Promise.resolve({
      coverage: {
        folders: [],
        notices: ["strategy noop: the archive will be empty"],
        warnings: [],
        problems: [],
      },
      open: () =>
        Promise.resolve({
          archives: "stream",
          kind: "tar",
          frozen: false,
          command: undefined,
          judge: () => [],
          close: () => Promise.resolve([]),
        }),
    });
  }
}
