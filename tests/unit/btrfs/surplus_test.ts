import { assertEquals, assertMatch } from "@std/assert";
import { beyondOf, countByFolder } from "../../../src/btrfs/surplus.ts";

const candidatesOf = (paths: readonly string[], needed: readonly string[] = []) =>
  paths.map((path, id) => ({
    path,
    id,
    bytes: path.length,
    isNeeded: needed.includes(path),
  }));

const chosen = (paths: readonly string[], maximum: number, needed: readonly string[] = []) => {
  const candidates = candidatesOf(paths, needed);
  const beyond = beyondOf(candidates, { subvolumes: maximum, bytes: Infinity });
  return candidates.filter((one) => !beyond.includes(one)).map(({ path }) => path);
};

const many = (folder: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${folder}${index}`);

Deno.test("beyondOf() leaves out nothing as long as all have room", () => {
  assertEquals(chosen(["/a", "/b"], 2), ["/a", "/b"]);
});

Deno.test("row 53: beyondOf() lets nobody push out others, wherever he makes his own", () => {
  const others = ["/home/bob", ...many("/home/bob/work/", 5), "/srv/data"];
  for (
    const own of [many("/home/eve/", 100), many("/home/eve/a/b", 100), [
      ...many("/home/eve/a/", 50),
      ...many("/home/eve/b/", 50).map((path) => `${path}/c/d`),
    ]]
  ) {
    for (const all of [[...own, ...others], [...others, ...own]]) {
      assertEquals(
        chosen(all, 20).filter((path) => !path.startsWith("/home/eve")).toSorted(),
        others.toSorted(),
      );
    }
  }
});

Deno.test("beyondOf() prefers the oldest of a folder, and what is needed to all", () => {
  assertEquals(chosen(many("/a/", 9), 3), ["/a/0", "/a/1", "/a/2"]);
  assertEquals(chosen(many("/a/", 9), 3, ["/a/7"]), ["/a/0", "/a/1", "/a/7"]);
  assertEquals(chosen(many("/a/", 3), 1, many("/a/", 2)), ["/a/0", "/a/1"]);
});

Deno.test("beyondOf() copes with paths of any depth", () => {
  const paths = many(`${"/a".repeat(2000)}/`, 1000);
  assertEquals(chosen(paths, 998), paths.slice(0, 998));
});

Deno.test("row 51: beyondOf() bounds what all together take of a manifest", () => {
  const long = many(`/home/eve/${"x".repeat(990)}`, 100);
  const others = [...many("/home/bob/", 9), "/srv"];
  const candidates = candidatesOf([...long, ...others], ["/srv"]);
  const beyond = beyondOf(candidates, { subvolumes: 1000, bytes: 10_500 });
  const taken = candidates.filter((one) => !beyond.includes(one));
  assertEquals(taken.filter(({ path }) => others.includes(path)).length, others.length);
  assertEquals(taken.length, others.length + 10);
  // What is needed is there although it alone is too much.
  assertEquals(beyondOf(candidates, { subvolumes: 1000, bytes: 1 }).length, 109);
});

Deno.test("row 53: beyondOf() gives each folder its share of the bytes, not of the number", () => {
  const his = many(`/home/eve/${"x".repeat(990)}`, 100);
  const hers = many(`/srv/docker/${"y".repeat(80)}`, 400);
  const candidates = candidatesOf([...his, ...hers]);
  const beyond = beyondOf(candidates, { subvolumes: 1000, bytes: 80_000 });
  const left = beyond.map(({ path }) => path);
  assertEquals(left.filter((path) => path.startsWith("/srv")), []);
  assertEquals(left.length, 58);
  const words = countByFolder([...left, "/a/1", "/b/1", "/c/1", `/${"z".repeat(999)}/1`, "/e/1"]);
  assertMatch(words, /^58 in \/home\/eve, 1 in \/a, .*1 in \/z{196}\.\.\., \.\.\.$/);
});
