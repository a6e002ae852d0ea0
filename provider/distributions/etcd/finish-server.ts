import { type Command, script, sh } from "../../transport/shell";
import { startDependants, startHeld } from "../held-unit";
import { writeMarker } from "../marker-file";
import type { EtcdFacts } from "./facts";
import { restorePlaces } from "./restore-places";
import { resumeBackups } from "./restore-services";

/** Ends an attempt on one server: backups run again, the restore is on record outside etcd's data, what was staged is gone. */
export function finishServer(cluster: string, facts: EtcdFacts, attempt: string, marker: string): Command {
  const places = restorePlaces(cluster, facts, attempt);
  return script(
    startDependants(places.work),
    resumeBackups(cluster, places),
    writeMarker(cluster, marker),
    sh`rm -rf ${places.work}`,
  );
}

/** Leaves an attempt to another restore on one server. The restore on record, if any, is not what is there any more. */
export function leaveServer(cluster: string, facts: EtcdFacts, attempt: string, marker: string | undefined): Command {
  const places = restorePlaces(cluster, facts, attempt);
  return script(
    startHeld(facts.unit),
    startDependants(places.work),
    resumeBackups(cluster, places),
    ...(marker === undefined ? [] : [writeMarker(cluster, marker)]),
    sh`rm -rf ${places.work}`,
  );
}
