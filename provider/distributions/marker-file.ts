import { serverDirectory } from "../plan/server-directory";
import { installFile } from "../transport/install-file";
import { type Command, script, sh } from "../transport/shell";

/** Puts on record, outside etcd's data, which restore was the last. */
export function writeMarker(cluster: string, marker: string): Command {
  return script(installFile(`${serverDirectory(cluster)}/restored.json`, marker, 0o600), sh`[ $? -eq 0 ] || exit 1`);
}
