import type { SubvolumeRecord } from "../stores/manifest.ts";
import { judgeTar, tarFlags } from "../strategies/tar_command.ts";
import type { Stage } from "../system/pipeline.ts";

/**
 * The tar that gives the stored subvolumes of an archive under their original paths, upper ones before
 * those nested in them.
 */
export function storedTarStage(archive: string, subvolumes: readonly SubvolumeRecord[]): Stage {
  const ordered = subvolumes.toSorted((a, b) => a.path.length - b.path.length);
  const command = {
    program: "tar",
    args: [
      ...tarFlags,
      `--directory=${archive}`,
      ...ordered.map(({ name, path }) => `--transform=${rename(name, path)}`),
      "--",
      ...ordered.map(({ name }) => name),
    ],
  };
  return { command, judge: (exit, messages) => judgeTar(exit, messages, () => false) };
}

/** A sed expression that gives members their original names; also to the targets of hard links. */
function rename(name: string, path: string): string {
  const from = name.replaceAll(/[\\.[\]*^$,]/g, "\\$&");
  if (path === "/") return `flags=rh;s,^${from}/\\(.\\),\\1,;s,^${from}/*$,.,`;
  const to = path.slice(1).replaceAll(/[\\&,]/g, "\\$&").replaceAll("\n", "\\n");
  return `flags=rh;s,^${from}\\(/\\|$\\),${to}\\1,`;
}
