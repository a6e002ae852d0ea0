import { type Command, script, sh } from "../../transport/shell";
import { startDependants } from "../held-unit";
import { writeMarker } from "../marker-file";
import type { EmbeddedFacts } from "./facts";
import { restorePlaces } from "./restore-places";

/** Ends an attempt on one server: the restore is on record outside etcd's data; what told it to join, and what was staged, is gone. */
export function finishServer(cluster: string, facts: EmbeddedFacts, attempt: string, marker: string): Command {
  const { work, dropIn } = restorePlaces(cluster, facts, attempt);
  return script(startDependants(work), sh`rm -f ${dropIn} || exit 1`, writeMarker(cluster, marker), sh`rm -rf ${work}`);
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
  const { work, dropIn } = restorePlaces(cluster, facts, attempt);
  return script(
    startDependants(work),
    sh`rm -f ${dropIn} || exit 1`,
    ...(marker === undefined ? [] : [writeMarker(cluster, marker)]),
    sh`rm -rf ${work}`,
  );
}
