import { assertEquals } from "@std/assert";
import { tellsOfLostExtents } from "../../../src/btrfs/send.ts";

Deno.test("row 33: tellsOfLostExtents() trusts only kernels that have the fix", () => {
  const releases = {
    "5.15.0-100-generic": false,
    "6.1.0-28-amd64": false,
    "6.12.48+deb13-amd64": false,
    "6.18.43": false,
    "6.18.44-custom\n": true,
    "6.19.0": false,
    "7.0.9": false,
    "7.1.0-rc1": true,
    "7.10.2": true,
    "10.0": true,
    "": false,
  };
  for (const [release, tells] of Object.entries(releases)) {
    assertEquals(tellsOfLostExtents(release), tells, release);
  }
});
