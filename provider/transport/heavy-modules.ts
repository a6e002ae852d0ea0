import { createRequire } from "node:module";

// Loaded when first used: most of what Pulumi asks needs neither. By require, because Node's import() of these
// CommonJS packages does not see all of their names.

export function loadSsh2(): typeof import("ssh2") {
  return load("ssh2") as typeof import("ssh2");
}

export function loadEtcd3(): typeof import("etcd3") {
  return load("etcd3") as typeof import("etcd3");
}

const load = createRequire(__filename);
