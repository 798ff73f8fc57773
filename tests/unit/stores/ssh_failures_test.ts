import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { connectionLost, explainSshFailure } from "../../../src/stores/ssh_failures.ts";

/** What OpenSSH 9.2 has said here, at LogLevel=INFO. */
const changed = `@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:kG05rMLmm8l4yxEWwH4DMhAuuTBddIAYymBBWWOsIJY.
Please contact your system administrator.
Add correct host key in /root/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /root/.ssh/known_hosts:1
  remove with:
  ssh-keygen -f "/root/.ssh/known_hosts" -R "storage"
Host key for storage has changed and you have requested strict checking.
Host key verification failed.`;

Deno.test("row 61: a host key that has changed is called that, and nothing says to accept it", () => {
  const { cause, remedy, code } = explainSshFailure(changed.split("\n"));
  assertMatch(cause, /^WARNING: the host key is not the one that is known/);
  assertStringIncludes(cause, "SHA256:kG05rMLmm8l4yxEWwH4DMhAuuTBddIAYymBBWWOsIJY");
  assertStringIncludes(cause, "/root/.ssh/known_hosts:1");
  assertStringIncludes(remedy!, "do not connect");
  assertEquals(/keyscan|add|-R/i.test(`${cause} ${remedy}`), false);
  assertEquals(code, "connection");
});

const told: readonly { lines: string; cause: RegExp; remedy: RegExp | undefined; code?: string }[] =
  [
    {
      lines: "Unable to negotiate with 10.0.0.1 port 22: no matching cipher found. Their offer: x",
      cause: /no matching cipher found/,
      remedy: /update the older one/,
    },
    {
      lines: "ssh: Could not resolve hostname jump: Name or service not known\n" +
        "kex_exchange_identification: Connection closed by remote host\n" +
        "Connection closed by UNKNOWN port 65535",
      cause: /Could not resolve hostname jump/,
      remedy: /jump host/,
    },
    {
      lines: "/bin/sh: 1: exec: nc: not found\n" +
        "kex_exchange_identification: Connection closed by remote host\n" +
        "Connection closed by UNKNOWN port 65535",
      cause: /nc: not found/,
      remedy: /ProxyCommand/,
    },
    {
      lines: "/bin/bash: line 1: /nowhere/x: No such file or directory\n" +
        "kex_exchange_identification: Connection closed by remote host",
      cause: /\/nowhere\/x: No such file/,
      remedy: /ProxyCommand/,
    },
    {
      lines: "A banner\nof two lines\nroot@storage: Permission denied (publickey).",
      cause: /Permission denied \(publickey\)/,
      remedy: /a key without a passphrase/,
    },
    {
      lines: "WARNING: unauthorized access: permission denied.\nNot allowed at this time!\n" +
        "Connection to 10.0.0.1 closed by remote host.",
      cause: /closed by remote host/,
      remedy: undefined,
    },
    {
      lines: "kex_exchange_identification: banner line contains invalid characters",
      cause: /invalid characters/,
      remedy: /no sshd/,
    },
    {
      lines: "@@@@\n@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\n@@@@\n" +
        "Permissions 0644 for 'key' are too open.\n" +
        'Load key "key": bad permissions\nroot@storage: Permission denied (publickey).',
      cause: /Permissions 0644 for 'key' are too open/,
      remedy: /chmod 600/,
    },
    {
      lines: "No ED25519 host key is known for storage and you have requested strict checking.\n" +
        "Host key verification failed.",
      cause: /verification failed/,
      remedy: /ssh-keyscan/,
    },
    {
      lines: "command-line: line 0: Bad configuration option: badoption",
      cause: /badoption/,
      remedy: /ssh's own config/,
    },
    {
      lines: "kex_exchange_identification: read: Connection reset by peer\n" +
        "Connection reset by 10.0.0.1 port 22",
      cause: /reset by peer/,
      remedy: /MaxStartups/,
      code: "crowded",
    },
    {
      lines: "kex_exchange_identification: banner line 0: Not allowed at this time",
      cause: /Not allowed/,
      remedy: /MaxStartups/,
      code: "crowded",
    },
    {
      lines: "ssh: connect to host 10.0.0.1 port 22: Connection refused",
      cause: /refused/,
      remedy: /sshd are up/,
      code: "refused",
    },
    {
      lines:
        "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out",
      cause: /timed out/,
      remedy: /is up/,
    },
    { lines: connectionLost, cause: /was lost/, remedy: /log of its sshd/ },
    { lines: "something new", cause: /something new/, remedy: undefined },
    { lines: "", cause: /^$/, remedy: undefined },
  ];

for (const { lines, cause, remedy, code = "connection" } of told) {
  Deno.test(`row 61: ssh's own reason and what helps: ${lines.split("\n")[0]}`, () => {
    const found = explainSshFailure(lines.split("\n"));
    assertMatch(found.cause, cause);
    assertMatch(found.remedy ?? "", remedy ?? /^$/);
    assertEquals(found.code, code);
  });
}
