/**
 * The flags of unshare(1) for a mount namespace that goes with the last process in it, and from which
 * no mount escapes; the command follows.
 */
export const namespaceFlags = ["--mount", "--propagation", "private", "--"] as const;
