import type { SnapshotFile } from "../../model";
import type { RestoreStagesRequest } from "../distribution";
import type { EtcdFacts } from "./facts";
import { restorePlaces } from "./restore-places";
import { bumps } from "./restore-stages";

/** What the plan says of itself beside its stages. */
export function describeRestore(
  servers: readonly EtcdFacts[],
  request: RestoreStagesRequest,
  snapshot: SnapshotFile,
): readonly string[] {
  const places = servers.flatMap((facts) => {
    const { aside, asideWal } = restorePlaces(request.cluster.name, facts, "<time>");
    return [aside, ...(asideWal === undefined ? [] : [asideWal])].map((path) => `${facts.server}:${path}`);
  });
  const seconds = 20 + Math.ceil(snapshot.sizeBytes / (30 * 1024 * 1024));
  return [
    `Members afterwards: ${servers.map((facts) => `${facts.member.name} (${facts.server}, etcd ${facts.etcdVersion})`).join(", ")}.`,
    bumps(servers, request)
      ? "The revision is raised beyond the present one, so that every watcher lists again."
      : request.bumpRevision
        ? "The revision is not raised: the servers' restore tool cannot. Restart every client that watches."
        : "The revision is not raised, as asked.",
    `The old data is set aside, not deleted: ${places.join(", ")}.`,
    `It takes about ${seconds} s; etcd is stopped for about 10 s of it.`,
  ];
}
