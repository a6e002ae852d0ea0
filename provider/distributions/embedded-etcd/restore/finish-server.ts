import { type Command, script, sh } from "../../../transport/shell";
import { startDependants } from "../../held-unit";
import { writeMarker } from "../../marker-file";
import type { EmbeddedFacts } from "../facts";
import { removeDropIn, restorePlaces } from "./restore-places";

/** Ends an attempt on one server: the restore is on record outside etcd's data; what told it to join, and what was staged, is gone. */
export function finishServer(cluster: string, facts: EmbeddedFacts, attempt: string, marker: string): Command {
  const places = restorePlaces(cluster, facts, attempt);
  return script(
    startDependants(places.work),
    removeDropIn(places),
    writeMarker(cluster, marker),
    sh`rm -rf ${places.work}`,
  );
}

/**
 * Leaves an attempt to another restore on one server. One that has not joined yet is not started: without data, its own
 * configuration might have it begin a new, empty cluster. The restore that supersedes starts it.
 */
export function leaveServer(
  cluster: string,
  facts: EmbeddedFacts,
  attempt: string,
  marker: string | undefined,
): Command {
  const places = restorePlaces(cluster, facts, attempt);
  return script(
    startDependants(places.work),
    removeDropIn(places),
    ...(marker === undefined ? [] : [writeMarker(cluster, marker)]),
    sh`rm -rf ${places.work}`,
  );
}
