/** Why ssh(1) failed, out of what it has said; its words are those of OpenSSH's sources. */
export interface SshFailure {
  readonly cause: string;
  readonly remedy?: string;
  /**
   * "refused" and "crowded": no session came about, so that nothing was asked, and the same can be
   * tried again at any time.
   */
  readonly code: FailureCode;
}

/** The last one: sshd has too many connections that have not logged in yet (MaxStartups). */
export type FailureCode = "connection" | "refused" | "crowded";

/** One kind of failure. */
interface Rule {
  /** What the words of that kind have in them. */
  readonly words: RegExp;
  /** Only these lines are shown; without it the last ones. */
  readonly shown?: RegExp;
  readonly before?: string;
  readonly remedy: string;
  readonly code?: FailureCode;
}

/** Of the end of a connection that is shared ssh says nothing. */
export const connectionLost = "the connection was lost";

const otherKey =
  "ask whoever runs the storage host, by another way, whether its key was changed; " +
  "if it was not, somebody stands in between: do not connect";

/** The first one that fits is taken: those that name a cause come before those that name what it led to. */
const rules: readonly Rule[] = [
  {
    words: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    shown: /^SHA256:|^The fingerprint|^Offending/,
    before:
      "WARNING: the host key is not the one that is known: it was changed, or this is another host",
    remedy: otherKey,
  },
  {
    words: /REVOKED HOST KEY/,
    shown: /marked as revoked/,
    before: "WARNING: the host key was revoked",
    remedy: otherKey,
  },
  {
    words: /UNPROTECTED PRIVATE KEY FILE/,
    shown: /^Permissions|^Load key/,
    remedy: "let only its owner read the key: chmod 600",
  },
  {
    words: /bad configuration option|terminating, \d+ bad configuration|bad owner or permissions/i,
    remedy: "mend ssh's own config, see ssh_config(5)",
  },
  {
    words: /unable to negotiate/i,
    shown: /unable to negotiate/i,
    remedy: "ssh here and sshd there share none: update the older one, or see ssh_config(5)",
  },
  {
    words: /could not resolve hostname/i,
    remedy:
      "look whether the name is right, that of a jump host too, and whether it can be resolved",
  },
  {
    words:
      /^(?:\S+: line \d+: |\S+: \d+: |exec: )+.*(?:not found|no such file|permission denied)/im,
    remedy: "look at ProxyCommand and ProxyJump in ssh's config",
  },
  {
    words: /host key verification failed|no .* host key is known/i,
    remedy: "compare and add the host's key to known_hosts (ssh-keyscan)",
  },
  {
    words: /permission denied|too many authentication failures/i,
    remedy: "give this machine a key without a passphrase that the login there accepts",
  },
  {
    words: /banner line .* invalid|invalid format|bad remote protocol version/i,
    remedy: "what listens there is no sshd: look at host and port",
  },
  {
    words: /exceeded maxstartups|not allowed at this time|exchange_identification/i,
    remedy: "look at the load of the storage host and at MaxStartups of its sshd, " +
      "and whether it is an sshd that listens there, and lets this address in",
    code: "crowded",
  },
  {
    words: /connect to host .*(?:refused|reset)/i,
    remedy:
      "look whether the storage host and its sshd are up, and whether host and port are right",
    code: "refused",
  },
  {
    words: /refused|timed out|unreachable|not known|no route|cannot assign requested address/i,
    remedy: "look whether the storage host is up, and whether host and port are right",
  },
  {
    words: new RegExp(connectionLost),
    remedy: "look at the network, whether the storage host is up, and at the log of its sshd",
  },
];

/** How lines begin that are ssh's own, and not of a banner, or of what a shell prints at the other end. */
const own = new RegExp(
  "^(?:@ |ssh: |kex_|ssh_|Connection |Connecting |client_loop|Host key |Unable to negotiate|No .* host key|" +
    "Load key|Permissions |Warning: |The fingerprint|SHA256:|Offending|The .* host key|.* host key for .* was|" +
    "command-line|\\S*: (?:line )?\\d+: |exec: |\\S+@\\S+: Permission denied|Received disconnect|" +
    "Disconnected|Bad owner|Bad packet|Timeout, server|packet_write|ControlPath|bind |banner |mux_|Too many|" +
    "the connection was lost)",
);

/** How many lines are shown of what no rule chooses from. */
const mostLines = 3;

/**
 * Understand what ssh has said.
 *
 * @param lines its standard error, and that of what ran at the other end
 */
export function explainSshFailure(lines: readonly string[]): SshFailure {
  const all = lines.filter((line) => !/^@*$/.test(line));
  const told = all.filter((line) => own.test(line));
  const rule = rules.find(({ words }) => words.test(told.join("\n")));
  if (rule === undefined) {
    return { cause: all.slice(-mostLines).join(" / "), code: "connection" };
  }
  const { shown, before, remedy, code = "connection" } = rule;
  const chosen = shown === undefined
    ? told.slice(-mostLines)
    : told.filter((line) => shown.test(line)).slice(0, mostLines);
  const cause = [...before === undefined ? [] : [before], ...chosen].join(" / ");
  return { cause, remedy, code };
}
