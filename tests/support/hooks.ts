import { TemporaryFolder } from "./folders.ts";
import { writeConfig } from "./runs.ts";

/** A folder with data, a storage folder and a config with these hooks; and a way to run it. */
export function setUpHooks(hooks: object) {
  const folder = new TemporaryFolder();
  folder.write("data/file", "content");
  const storage = folder.storage("storage");
  const text = JSON.stringify(hooks).replaceAll("FOLDER", folder.path);
  const config = writeConfig(folder, storage, JSON.parse(text));
  return {
    folder,
    storage,
    args: ["backup", "--config", config],
    lines: (name: string) => Deno.readTextFileSync(folder.at(name)).trimEnd().split("\n"),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
