import { assertEquals, assertThrows } from "@std/assert";
import fs from "node:fs";
import {
  createPrivate,
  makePrivateFolder,
  openPrivate,
  removeIfPresent,
  writeDurably,
} from "../../../src/system/durable.ts";
import { TemporaryFolder } from "../../support/folders.ts";
import { modeOf, withUmask } from "../../support/modes.ts";

Deno.test("files are made 0600 and folders 0700 whatever the umask is", () => {
  for (const umask of [0o000, 0o022, 0o777]) {
    using folder = new TemporaryFolder();
    withUmask(umask, () => {
      fs.closeSync(createPrivate(folder.at("created")));
      fs.closeSync(openPrivate(folder.at("opened")));
      writeDurably(folder.at("written"), "text");
      assertEquals(makePrivateFolder(folder.at("folder")), true);
    });
    for (const name of ["created", "opened", "written"]) {
      assertEquals(modeOf(folder.at(name)), 0o600);
    }
    assertEquals(modeOf(folder.at("folder")), 0o700);
  }
});

Deno.test("createPrivate() and writeDurably() never touch what is there", () => {
  using folder = new TemporaryFolder();
  const file = folder.write("file", "old");
  Deno.mkdirSync(folder.at("folder"));
  Deno.symlinkSync(folder.at("elsewhere"), folder.at("dangling"));
  Deno.symlinkSync(file, folder.at("link"));
  for (const name of ["file", "folder", "dangling", "link"]) {
    assertThrows(() => createPrivate(folder.at(name)), Error, "EEXIST");
    assertThrows(() => writeDurably(folder.at(name), "new"), Error, "EEXIST");
  }
  assertEquals(Deno.readTextFileSync(file), "old");
  assertThrows(() => Deno.lstatSync(folder.at("elsewhere")), Deno.errors.NotFound);
});

Deno.test("openPrivate() makes a file its own, and follows no symbolic link", () => {
  using folder = new TemporaryFolder();
  const file = folder.write("file", "old");
  Deno.chmodSync(file, 0o644);
  fs.closeSync(openPrivate(file));
  assertEquals([modeOf(file), Deno.readTextFileSync(file)], [0o600, "old"]);
  Deno.symlinkSync(file, folder.at("link"));
  assertThrows(() => openPrivate(folder.at("link")), Error, "it is a symbolic link");
});

Deno.test("writeDurably() leaves nothing when it fails", () => {
  using folder = new TemporaryFolder();
  assertThrows(() => writeDurably(folder.at("missing/file"), "text"), Error, "ENOENT");
  writeDurably(folder.at("file"), "text ä\n");
  assertEquals(Deno.readTextFileSync(folder.at("file")), "text ä\n");
});

Deno.test("makePrivateFolder() accepts a folder that is there, and nothing else", () => {
  using folder = new TemporaryFolder();
  assertEquals(makePrivateFolder(folder.path), false);
  const file = folder.write("file", "");
  Deno.symlinkSync(folder.path, folder.at("link"));
  for (const path of [file, folder.at("link"), folder.at("missing/below")]) {
    assertThrows(() => makePrivateFolder(path), Error);
  }
});

Deno.test("removeIfPresent() says whether there was something, and removes no folder's content", () => {
  using folder = new TemporaryFolder();
  const file = folder.write("folder/file", "");
  assertThrows(() => removeIfPresent(folder.at("folder")), Error);
  assertEquals([removeIfPresent(file), removeIfPresent(file)], [true, false]);
});
