import { parseDuration } from "../duration";
import type { S3Settings } from "../model";
import type { HostReader } from "../transport/host";
import { type S3StoreOptions, s3Store } from "./s3";
import type { SnapshotStore } from "./store";

/**
 * The store that S3 settings mean: the folder is the cluster's name unless they say another. `server` lends its role
 * where the settings have neither keys nor a profile. Nothing is contacted yet.
 */
export function openStore(
  settings: S3Settings,
  cluster: string,
  server?: HostReader,
  options: S3StoreOptions = {},
): SnapshotStore {
  const folder = (settings.folder ?? cluster).replace(/^\/+|\/+$/g, "");
  const timeoutMs = settings.timeout === undefined ? undefined : parseDuration(settings.timeout);
  return s3Store(settings, folder, server, { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...options });
}
