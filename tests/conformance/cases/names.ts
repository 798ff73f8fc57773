import { assertEquals, assertMatch } from "@std/assert";
import {
  labels,
  parseArchiveName,
  sidecarSuffix,
  stampOf,
} from "../../../src/rotation/archive_name.ts";
import { archivesIn, namesIn } from "../../support/folders.ts";
import type { Bench, Cases } from "../bench.ts";

/** All names without seconds that a commit could give in these minutes. */
function possibleNames(): string[] {
  const now = Temporal.Now.plainDateTimeISO();
  return [0, 1, 2].flatMap((minutes) => {
    const stamp = stampOf(now.add({ minutes }));
    return labels.map((label) => `${stamp.slice(0, 8)}-${stamp.slice(8, 12)}-${label}.tar`);
  });
}

/** A commit while all names without seconds are taken; returns the name that it gave. */
async function commitAmong(bench: Bench, take: (path: string) => void): Promise<string> {
  const taken = possibleNames().map((name) => `${bench.storage}/${name}`);
  for (const path of taken) take(path);
  const look = () =>
    taken.map((path) => {
      const { ino, size, isFile, isDirectory, isSymlink } = Deno.lstatSync(path);
      return [path, ino, size, isFile, isDirectory, isSymlink];
    });
  const before = look();
  const name = await bench.commit("content");
  assertEquals(look(), before);
  assertMatch(name, /^\d{8}-\d{6}-/);
  assertEquals(Deno.readTextFileSync(`${bench.storage}/${name}`), "content");
  return name;
}

/** The archives that have a sidecar, whether they are there or not. */
const sidecars = (bench: Bench) =>
  namesIn(bench.storage).filter((name) => name.endsWith(sidecarSuffix))
    .map((name) => name.slice(0, -sidecarSuffix.length));

/** Names are given by the store, and never to two. */
export const names: Cases = {
  "commits within a minute have distinct names, listed in their order (row 35)": async (bench) => {
    const given: string[] = [];
    for (let count = 0; count < 4; count++) given.push(await bench.commit(`content ${count}`));
    assertEquals(new Set(given).size, 4);
    const stamps = given.map((name) => parseArchiveName(name)!.stamp);
    assertEquals(stamps, stamps.toSorted());
    await bench.assertHolds(...given);
    const contents = given.map((name) => Deno.readTextFileSync(`${bench.storage}/${name}`));
    assertEquals(contents, ["content 0", "content 1", "content 2", "content 3"]);
  },

  "commits at the same time have distinct names": async (bench) => {
    const stores = [bench.store, await bench.open(), await bench.open()];
    const claims = await Promise.all(
      stores.map((store, index) => bench.uploadAsOther(index, store)),
    );
    const committed = await Promise.all(
      stores.map((store, index) => store.commit(claims[index]!)),
    );
    const given = committed.map(({ name }) => name);
    assertEquals(new Set(given).size, 3);
    assertEquals(archivesIn(bench.storage), given.toSorted());
    for (const [index, name] of given.entries()) {
      assertEquals(Deno.readTextFileSync(`${bench.storage}/${name}`), `content ${index}`);
    }
  },

  "a file that has the name is never overwritten (row 34)": async (bench) => {
    const name = await commitAmong(bench, (path) => Deno.writeTextFileSync(path, "taken"));
    assertEquals(sidecars(bench), [name]);
  },

  "a folder that has the name is left alone (row 34)": async (bench) => {
    const name = await commitAmong(bench, (path) => Deno.mkdirSync(path));
    assertEquals(sidecars(bench), [name]);
    assertEquals((await bench.store.list()).archives.map((archive) => archive.name), [name]);
  },

  "a dangling link that has the name is not followed (row 34)": async (bench) => {
    const target = bench.folder.at("elsewhere");
    const name = await commitAmong(bench, (path) => Deno.symlinkSync(target, path));
    assertEquals(sidecars(bench), [name]);
    assertEquals(namesIn(bench.folder.path).includes("elsewhere"), false);
  },

  "a file that has the name of the sidecar is never overwritten": async (bench) => {
    const taken: string[] = [];
    await commitAmong(bench, (path) => {
      taken.push(path + sidecarSuffix);
      Deno.writeTextFileSync(path + sidecarSuffix, "taken");
      Deno.symlinkSync("nowhere", path);
    });
    for (const path of taken) assertEquals(Deno.readTextFileSync(path), "taken");
  },
};
