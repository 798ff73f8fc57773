import { assertEquals } from "@std/assert";
import { fromRoot, type TemporaryFolder } from "./folders.ts";
import { plasma } from "./plasma.ts";
import { sh } from "./sh.ts";
import { sha256Of } from "./storage.ts";

/** Back up folders to a storage, and return the name of the archive. */
export async function backUp(destination: readonly string[], ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await plasma(["backup", "--to", ...destination, ...args]);
  assertEquals(code, 0, stderr);
  return stdout.trimEnd();
}

/** A new key pair of age: for whom to encrypt, and the file with the secret half. */
export async function newKey(folder: TemporaryFolder, name = "key.txt") {
  await sh("age-keygen", "-o", folder.at(name));
  return {
    recipient: (await sh("age-keygen", "-y", folder.at(name))).trim(),
    file: folder.at(name),
  };
}

/** A line for each entry of a tree, with all that is to be preserved. */
export async function walk(path: string): Promise<string[]> {
  return (await sh("python3", fromRoot("tests/testdata/walk_tree.py"), path)).split("\n");
}

/** Make a tree of everything that is hard. */
export async function makeTree(path: string): Promise<void> {
  await sh("python3", fromRoot("tests/testdata/make_tree.py"), path);
}

/** Write a checksum file for an archive, as sha256sum(1) does. */
export async function writeSidecar(storage: string, name: string): Promise<void> {
  const sum = await sha256Of(`${storage}/${name}`);
  Deno.writeTextFileSync(`${storage}/${name}.sha256`, `${sum}  ${name}\n`);
}

/** Change one bit in the middle of a byte of a file; a negative offset counts from the end. */
export function flip(path: string, offset: number): void {
  const bytes = Deno.readFileSync(path);
  const index = offset < 0 ? bytes.length + offset : offset;
  bytes[index] = bytes[index]! ^ 0x10;
  Deno.writeFileSync(path, bytes);
}

/** Make a tar by lines of Python that add members to `t`; return its path. */
export async function pythonTar(path: string, lines: string): Promise<string> {
  const script = `
import io, sys, tarfile
t = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT)
def add(name, type=tarfile.REGTYPE, link="", content=b"evil"):
    info = tarfile.TarInfo("x")
    info.name, info.type, info.linkname, info.mode = name, type, link, 0o755
    info.size = len(content) if type == tarfile.REGTYPE else 0
    t.addfile(info, io.BytesIO(content))
def folder(name): add(name, tarfile.DIRTYPE)
def symlink(name, to): add(name, tarfile.SYMTYPE, to)
def hardlink(name, to): add(name, tarfile.LNKTYPE, to)
${lines}
t.close()
`;
  await sh("python3", "-c", script, path);
  return path;
}
