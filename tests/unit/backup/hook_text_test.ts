import { assert, assertEquals } from "@std/assert";
import { programOf, variableText } from "../../../src/backup/hook_text.ts";

Deno.test("row 92: of a command only the program is named, never an assignment or argument", () => {
  const cases = {
    "mysqldump --password=hunter2 db": "mysqldump",
    "PASSWORD=hunter2 mysqldump db": "mysqldump",
    "  A=1 PASSWORD='hunter 2' B=\"x y\" /opt/hunter2/bin/dump.sh | gzip": "dump.sh",
    "systemctl stop db; PASSWORD=hunter2 x": "systemctl",
    "true&&x": "true",
    "./run": "run",
    "PASSWORD=hunter2": undefined,
    "PASSWORD=hunter2; mysqldump": undefined,
    "PASSWORD=hunter\\ 2 mysqldump": undefined,
    "PASSWORD=$(cat hunter2) mysqldump": undefined,
    'PASSWORD="hunter\\" 2" mysqldump': undefined,
    'PASSWORD="hunter 2': undefined,
    "'hunter2'/run": undefined,
    "hunter2=x": undefined,
    "my-hunter2=x y": undefined,
    "# hunter2": undefined,
    "{ hunter2; }": undefined,
    "$HUNTER2 x": undefined,
    "http://hunter2:x@host": undefined,
    "A=x#hunter2 mysqldump": undefined,
    "": undefined,
    "/opt/": undefined,
  };
  for (const [command, program] of Object.entries(cases)) {
    assertEquals(programOf(command), program, command);
  }
});

Deno.test("row 86: a variable is one clean line of at most 4096 bytes, with both ends", () => {
  assertEquals(variableText("plain, ünïcödé 漢字 😀"), "plain, ünïcödé 漢字 😀");
  assertEquals(
    variableText("a\nb\0c\x1b[1md\x7f\x9b\u2028"),
    "a\\nb\\x00c\\x1b[1md\\x7f\\x9b\\u2028",
  );
  assertEquals(variableText("a\ud800b"), "a\ufffdb");
  for (const filler of ["x", "é", "漢", "😀", "\n"]) {
    const text = variableText(`begin ${filler.repeat(200_000)} end`);
    const { length } = new TextEncoder().encode(text);
    assert(length <= 4096 && length > 4000, `${length}`);
    assertEquals([text.startsWith("begin "), text.endsWith(" end")], [true, true]);
    assertEquals(text.includes("\ufffd"), false);
  }
  assertEquals(variableText("x".repeat(4096)).length, 4096);
});
