/** What `plasma init` writes: a config to be edited, with the most important keys. */
export const agentConfigTemplate = `// The config of plasma-agent. Check it with: plasma check
{
  // What is archived: absolute paths.
  "folders": ["/etc", "/home", "/root", "/var"],

  // How: "btrfs-snapshot" freezes the filesystem first, "btrfs-send" sends only what has
  // changed to a storage that is on btrfs too, "tar" reads the files as they are.
  "strategy": "tar",
  "exclude": ["/var/cache", "/var/tmp", "*.tmp"],
  "compression": "zstd",
  // Logs change while "tar" reads them: they are named, and that is no failure. With "problem", the
  // default, it is one (status 3): for when what writes is stopped before.
  "changedFiles": "warning",

  // Where it is stored. Without "ssh" remoteFolder is a folder on this machine.
  "ssh": { "host": "backup.example.org", "login": "plasma" },
  "remoteFolder": "/data/backup/HOSTNAME",

  // What runs before, and after the archive is stored; a failure before cancels the backup.
  "executeBefore": [],
  "executeAfter": [],
  // Tell somebody: PLASMA_STATUS, PLASMA_ERROR and PLASMA_ARCHIVE are in the environment.
  "executeOnFailure": []
}
`;
