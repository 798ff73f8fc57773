import { assertEquals } from "@std/assert";
import { backUp, flip, writeSidecar } from "../support/archives.ts";
import { TemporaryFolder } from "../support/folders.ts";
import { plasma } from "../support/plasma.ts";

Deno.test("row 43: a bit flipped anywhere, and any other length, is found", async () => {
  using folder = new TemporaryFolder();
  folder.write("data/file", crypto.getRandomValues(new Uint8Array(20_000)));
  const made = await backUp([folder.storage("made")], folder.at("data"));
  const archive = folder.at(`made/${made}`);
  const { size } = Deno.statSync(archive);
  const storage = folder.storage("storage");

  // One archive for each damage, of consecutive days.
  const damages: ((path: string) => void)[] = [];
  for (let offset = 0; offset < size; offset += 251) damages.push((path) => flip(path, offset));
  damages.push((path) => flip(path, size - 1));
  for (let length = 0; length < size; length += 1009) {
    damages.push((path) => Deno.truncateSync(path, length));
  }
  for (const length of [size - 1, size + 1, size + 512]) {
    damages.push((path) => Deno.truncateSync(path, length));
  }
  const first = Temporal.PlainDate.from("2020-01-01");
  const nameOf = (days: number) =>
    `${first.add({ days }).toString().replaceAll("-", "")}-0000-daily.tar`;
  for (const [day, damage] of [() => {}, ...damages].entries()) {
    const path = `${storage}/${nameOf(day)}`;
    Deno.copyFileSync(archive, path);
    if (day === 0) await writeSidecar(storage, nameOf(day));
    else Deno.writeTextFileSync(`${path}.sha256`, sidecar(storage, nameOf(0), nameOf(day)));
    damage(path);
  }

  const { code, stdout } = await plasma(["verify", "--all", "--json", "--from", storage]);
  const verdicts: { name: string; state: string }[] = JSON.parse(stdout);
  assertEquals([code, verdicts.length], [1, damages.length + 1]);
  const good = verdicts.filter(({ state }) => state !== "damaged");
  assertEquals(good.map(({ name, state }) => [name, state]), [[nameOf(0), "ok"]]);
});

/** The checksum file of a copy of an archive. */
function sidecar(storage: string, original: string, copy: string): string {
  return Deno.readTextFileSync(`${storage}/${original}.sha256`).replace(original, copy);
}
