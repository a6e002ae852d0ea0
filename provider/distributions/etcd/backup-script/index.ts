import { identity } from "./identity";
import { requests } from "./requests";
import { run } from "./run";
import { s3 } from "./s3";
import { signing } from "./signing";
import { snapshot } from "./snapshot";
import { status } from "./status";

/**
 * What a server runs to take one scheduled snapshot: POSIX sh, nothing in it depends on the cluster.
 * It reads its settings and its secrets from files (see backupFiles) and leaves a status (see backup-status).
 */
export const backupScript: string = [status, signing, requests, identity, snapshot, s3, run].join("");
