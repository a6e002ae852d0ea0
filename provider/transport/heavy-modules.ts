import { createRequire } from "node:module";
import type * as Etcd3 from "etcd3";
import type * as Ssh2 from "ssh2";

// Loaded when first used: most of what Pulumi asks needs neither. By require, because Node's import() of these
// CommonJS packages does not see all of their names.

export function loadSsh2(): typeof Ssh2 {
  return load("ssh2") as typeof Ssh2;
}

export function loadEtcd3(): typeof Etcd3 {
  return load("etcd3") as typeof Etcd3;
}

const load = createRequire(__filename);
