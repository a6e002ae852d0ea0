import { serverDirectory } from "../../plan/server-directory";
import { type Command, script, sh } from "../../transport/shell";
import { installFile } from "../../transport/install-file";
import type { EtcdFacts } from "./facts";
import { type RestorePlaces } from "./restore-places";
import { resumeBackups, startDependants, startHeld } from "./restore-services";

/** Ends an attempt on one server: backups run again, the restore is on record outside etcd's data, what was staged is gone. */
export function finishServer(cluster: string, marker: string, places: RestorePlaces): Command {
  return script(
    startDependants(places),
    resumeBackups(cluster, places),
    installFile(`${serverDirectory(cluster)}/restored.json`, marker, 0o600),
    sh`[ $? -eq 0 ] || exit 1
rm -rf ${places.work}`,
  );
}

/** Leaves an attempt to another restore on one server. The restore on record, if any, is not what is there any more. */
export function leaveServer(
  cluster: string,
  facts: EtcdFacts,
  places: RestorePlaces,
  marker: string | undefined,
): Command {
  return script(
    startHeld(facts),
    startDependants(places),
    resumeBackups(cluster, places),
    ...(marker === undefined
      ? []
      : [installFile(`${serverDirectory(cluster)}/restored.json`, marker, 0o600), sh`[ $? -eq 0 ] || exit 1`]),
    sh`rm -rf ${places.work}`,
  );
}
