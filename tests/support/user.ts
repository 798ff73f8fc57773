import { TemporaryFolder } from "./folders.ts";
import type { PlasmaOptions } from "./plasma.ts";
import { sh } from "./sh.ts";

/**
 * How to run the program as a user who is neither root nor known to this machine: he has a home,
 * with the Deno of this test and its packages if the program under test is the launcher.
 *
 * @param folder a new folder, given to him with all that is in it
 */
export async function asUser(uid: number, folder: TemporaryFolder): Promise<PlasmaOptions> {
  const home = folder.at("home");
  Deno.mkdirSync(`${home}/bin`, { recursive: true });
  if (Deno.env.get("PLASMA_BIN") === undefined) {
    await sh("cp", "--reflink=auto", Deno.execPath(), `${home}/bin/deno`);
    const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
    Deno.mkdirSync(`${home}/deno`);
    await sh("cp", "-R", "--reflink=auto", `${cache}/npm`, `${home}/deno/npm`);
  }
  await sh("chown", "-R", `${uid}:${uid}`, folder.path);
  return {
    currentFolder: folder.path,
    environment: {
      HOME: home,
      DENO_DIR: `${home}/deno`,
      PATH: `${home}/bin:${Deno.env.get("PATH")}`,
      XDG_RUNTIME_DIR: "",
      XDG_CACHE_HOME: "",
    },
    through: ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
  };
}
