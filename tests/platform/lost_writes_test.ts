import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { PlasmaError } from "../../src/errors.ts";
import { beginWriting, bringToDisk } from "../../src/stores/lost_writes.ts";
import { namesIn } from "../support/folders.ts";
import { sh } from "../support/sh.ts";
import { btrfsTest, type Site } from "../support/site.ts";
import { Nights, noise, sendTest } from "./send_night.ts";

/** What does not fit into a {@link makeLossy}. */
const tooMuch = 130_000_000;

/**
 * A btrfs on a disk that has less room than it says: it loses what is written to files, and all that it
 * needs itself has been given room before.
 */
async function makeLossy(site: Site, name: string): Promise<string> {
  const disk = await site.mount(`${name}-disk`, "-t", "tmpfs", "-o", "size=160m", "plasma-test");
  await sh("truncate", "-s", "2G", `${disk}/image`);
  await sh("mkfs.btrfs", "-q", "-m", "single", `${disk}/image`);
  await sh("fallocate", "-l", "60M", `${disk}/image`);
  return await site.mount(name, "-o", "loop", `${disk}/image`);
}

sendTest(
  "row 33: an archive is not acknowledged of which the disk has lost a part",
  async (site) => {
    await makeLossy(site, "lossy");
    const nights = new Nights(site, "lossy/backups");
    await nights.runWell();
    const { archives } = nights;
    site.write("btrfs/data/large", noise(tooMuch));
    const { code, lastLine } = await nights.run({}, { retries: 1, retryDelay: "1s" });
    assertEquals(code, 1, lastLine);
    assertMatch(lastLine, /the disk of \S+ has not taken all that was received: /);
    assertEquals(nights.archives, archives);
    assertEquals(namesIn(`${nights.storage}/.plasma/incoming`), []);
    Deno.removeSync(site.at("btrfs/data/large"));
    await nights.runWell();
  },
);

btrfsTest(
  "row 33: a loss that was told to one upload is known to all of that time",
  async (site) => {
    const path = await makeLossy(site, "lossy");
    const [one, other, later] = ["one", "other", "later"].map((name) => site.makeFolder(name));
    beginWriting(one!);
    beginWriting(other!);
    Deno.writeFileSync(`${path}/file`, noise(tooMuch));
    const error = await assertRejects(() => bringToDisk(path, one!), PlasmaError);
    assertMatch(error.message, /no space left/i);
    // The kernel says nothing any more.
    await sh("sync", "-f", path);
    beginWriting(one!);
    await assertRejects(() => bringToDisk(path, one!), PlasmaError, "not taken all");
    await assertRejects(() => bringToDisk(path, other!), PlasmaError, "not taken all");
    beginWriting(later!);
    await bringToDisk(path, later!);
  },
);

sendTest("what is received is brought to the disk while more comes", async (site, nights) => {
  site.write("btrfs/data/large", noise(160_000_000));
  const seen = site.at("seen");
  const incoming = `${nights.storage}/.plasma/incoming`;
  const note = `case "$*" in "filesystem sync ${incoming}/"*) echo >>${seen} ;; esac`;
  site.fake("btrfs", `${note}; exec "$real" "$@"`);
  await nights.runWell({ bandwidthLimit: "30M" });
  assert(Deno.statSync(seen).size >= 1);
});
