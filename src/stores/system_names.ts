/**
 * What filesystems, snapshots and network disks put beside storage folders, or into a new one. Nobody has to
 * be told of it, and it is no storage folder.
 */
const names: ReadonlySet<string> = new Set([
  ".snapshots",
  ".stfolder",
  ".zfs",
  "#recycle",
  "#snapshot",
  "$RECYCLE.BIN",
  "@eaDir",
  "@tmp",
  "System Volume Information",
  "lost+found",
]);

/** Whether something is called as what the system itself puts there. */
export const isSystemName = (name: string) => names.has(name) || /^\.Trash(?:-\d+)?$/.test(name);
