import { PlasmaError } from "../errors.ts";
import { type Child, describeExit, start } from "../system/process.ts";

/**
 * Brings a filesystem to the disk, and knows whether something was lost since it was opened, or before
 * that if nobody was told.
 *
 * What is written lies in memory first. That it could not be brought to the disk the kernel tells who
 * calls syncfs(2) on a descriptor that he had before; of others only the first who asks (errseq_t). It
 * never tells `btrfs filesystem sync`: the file then has a hole in which nothing is ever found wrong.
 *
 * No common program but perl makes such a call; where there is none, sync(1) is not told what another
 * program was told before.
 */
export class DiskSync implements AsyncDisposable {
  private constructor(readonly path: string, readonly child: Child) {}

  /**
   * @param path a folder in the filesystem, before anything is written that must not be lost
   * @throws {PlasmaError} if it cannot be opened
   */
  static async open(path: string): Promise<DiskSync> {
    const number = syncfsNumbers[Deno.build.arch];
    const command = { program: "sh", args: ["-c", script, "sh", path, perlScript, `${number}`] };
    const child = await start(command, { stdin: "pipe", stdout: "pipe" });
    child.process.stdin!.on("error", () => {});
    const isOpen = await new Promise<boolean>((resolve) => {
      child.process.stdout!.once("data", () => resolve(true));
      child.exited.then(() => resolve(false));
    });
    if (isOpen) return new DiskSync(path, child);
    throw new PlasmaError("storage", `cannot watch the disk of ${path}: ${child.messages.tail}`);
  }

  /** @throws {PlasmaError} if not all that was written has come to the disk */
  async finish(): Promise<void> {
    this.child.process.stdin!.end("\n");
    const exit = await this.child.exited;
    if (exit.code === 0) return;
    if (exit.signal !== null) {
      const what = `what brings ${this.path} to the disk ${describeExit(exit)}`;
      throw new PlasmaError("storage", what, { code: "failed" });
    }
    const why = this.child.messages.tail || "syncfs failed";
    throw new PlasmaError(
      "storage",
      `the disk of ${this.path} has not taken all that was received: ${why}`,
      {
        code: "lost-writes",
        remedy: "see the kernel's log on the storage host, and check the disk",
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}

/** The numbers of syncfs(2), which differ between processors. */
const syncfsNumbers = { x86_64: 306, aarch64: 267 } as const;

/** $1 is the path, $2 the script of perl, $3 the number. Says when it is open, and waits for a line. */
const script = `
if command -v perl >/dev/null; then exec perl -e "$2" "$1" "$3"; fi
echo open
read -r _ && exec sync -f "$1"
`;

const perlScript = `
my ($path, $number) = @ARGV;
open my $folder, "<", $path or die "cannot open $path: $!\\n";
$| = 1;
print "open\\n";
defined <STDIN> or exit 1;
syscall($number + 0, fileno $folder) == 0 or die "$!\\n";
`;
