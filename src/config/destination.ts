import { UsageError } from "../errors.ts";
import type { SshSettings } from "./agent.ts";
import { folderProblem, isHost, isLogin, tidyPath } from "./values.ts";

/** Where archives are stored: a folder on this machine, or one on a storage host. */
export type Destination =
  | { readonly kind: "local"; readonly folder: string }
  | { readonly kind: "ssh"; readonly folder: string; readonly ssh: SshSettings };

/**
 * Parse the DEST of a command line: `/folder`, `./folder`, `user@host:/folder` or
 * `ssh://user@host:port/folder`. Relative folders mean the caller's folder.
 *
 * @throws {UsageError} if it is none of these
 */
export function parseDestination(text: string, currentFolder: string): Destination {
  const bad = (what: string) =>
    new UsageError(
      "command line",
      `${JSON.stringify(text)} is not a destination: ${what}`,
      "write /folder, user@host:/folder or ssh://user@host:port/folder",
    );
  const local = (folder: string): Destination => {
    const problem = folderProblem(folder);
    const dotted = problem?.includes("..") === true;
    if (problem !== undefined && !dotted) throw bad(problem);
    return { kind: "local", folder: resolvePath(folder, currentFolder) };
  };
  const remote = (login: string, host: string, port: string, folder: string): Destination => {
    const problem = folderProblem(folder);
    if (problem !== undefined) throw bad(problem);
    if (!isHost(host)) throw bad(`${JSON.stringify(host)} is not a host name`);
    if (login !== "" && !isLogin(login)) throw bad(`${JSON.stringify(login)} is not a login`);
    if (port !== "" && !isPort(port)) throw bad(`${port} is not a port`);
    const ssh = {
      host,
      command: "plasma",
      ...(login === "" ? {} : { login }),
      ...(port === "" ? {} : { port: Number(port) }),
    };
    return { kind: "ssh", folder: tidyPath(folder), ssh };
  };

  if (/^[a-z]+:\/\//i.test(text) && !text.startsWith("ssh://")) throw bad("unknown kind of URL");
  const url = /^ssh:\/\/(?:([^@/]*)@)?(\[[^\]/]*\]|[^:/]*)(?::([^/]*))?(\/.*)?$/.exec(text);
  if (text.startsWith("ssh://")) {
    if (url === null || url[4] === undefined) throw bad("it names no folder");
    return remote(url[1] ?? "", unbracket(url[2]!), url[3] ?? "", url[4]);
  }
  const scp = /^(?:([^@/:]*)@)?(\[[^\]/]*\]|[^:/[\]]*):(.*)$/s.exec(text);
  if (scp !== null) {
    if (scp[2] === "") throw bad("it names no host");
    if (!scp[3]!.startsWith("/")) throw bad("the folder on the storage host must be absolute");
    return remote(scp[1] ?? "", unbracket(scp[2]!), "", scp[3]!);
  }
  if (/^[^@/]+@[^@/]+$/.test(text)) {
    throw new UsageError(
      "command line",
      `${JSON.stringify(text)} names a login on a host, but no folder there`,
      `write ${text}:/folder, or for a folder of that name on this machine ./${text}`,
    );
  }
  return local(text);
}

/** The destination of an agent's config. */
export function destinationOf(
  config: { readonly remoteFolder: string; readonly ssh?: SshSettings | undefined },
): Destination {
  if (config.ssh === undefined) return { kind: "local", folder: tidyPath(config.remoteFolder) };
  // Plasma 1.0 named remoteFolder to scp, where "~/" is the login's home, as a relative path is.
  const folder = config.remoteFolder.replace(/^~\//, "");
  return { kind: "ssh", folder: tidyPath(folder), ssh: config.ssh };
}

/** A destination as it is written on a command line; identifies it. */
export function describeDestination(destination: Destination): string {
  if (destination.kind === "local") return destination.folder;
  const { host, login, port } = destination.ssh;
  const name = host.includes(":") ? `[${host}]` : host;
  const who = login === undefined ? name : `${login}@${name}`;
  return port === undefined || port === 22
    ? `${who}:${destination.folder}`
    : `ssh://${who}:${port}${destination.folder}`;
}

/** The absolute form of a path as the caller means it; ".." is resolved by name. */
export function resolvePath(path: string, currentFolder: string): string {
  if (path === "") throw new UsageError("command line", "an empty path");
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${currentFolder}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535;
}

function unbracket(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}
