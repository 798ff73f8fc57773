import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { PlasmaError } from "../../../src/errors.ts";
import { checkFolders, distinctFolders } from "../../../src/strategies/folders.ts";
import { TemporaryFolder } from "../../support/folders.ts";

Deno.test("distinctFolders() leaves out doubles and folders within others", () => {
  assertEquals(distinctFolders(["/etc", "/srv/a", "/etc", "/srv", "/srvx"]), [
    "/etc",
    "/srv",
    "/srvx",
  ]);
  assertEquals(distinctFolders(["/etc", "/", "/srv"]), ["/"]);
});

Deno.test("checkFolders() names every folder that is missing", async () => {
  using folder = new TemporaryFolder();
  const there = folder.write("there", "");
  const error: PlasmaError = await assertRejects(
    () => checkFolders([folder.at("one"), there, folder.at("two"), `${there}/below`]),
    PlasmaError,
  );
  assertEquals([error.code, error.status], ["source", 1]);
  assertStringIncludes(error.message, `${folder.at("one")} does not exist`);
  assertStringIncludes(error.message, `${folder.at("two")} does not exist`);
  assertStringIncludes(error.message, `${there}/below a part of the path is not a folder`);
});

Deno.test("checkFolders() says that of a symbolic link only the link is archived", async () => {
  using folder = new TemporaryFolder();
  Deno.mkdirSync(folder.at("real"));
  Deno.symlinkSync("real", folder.at("link"));
  const notices = await checkFolders([folder.at("real"), folder.at("link")]);
  assertEquals(notices, [
    `${folder.at("link")} is a symbolic link to real: only the link itself is archived`,
  ]);
});
