import type { SnapshotFile } from "../../../model";
import type { RestoreStagesRequest } from "../../distribution";
import type { EmbeddedFacts } from "../facts";
import { firstServer, placesOfOldData } from "./restore-places";
import { knownProblems } from "../versions";

/** What the plan says of itself beside its stages. */
export function describeRestore(
  servers: readonly EmbeddedFacts[],
  request: RestoreStagesRequest,
  snapshot: SnapshotFile,
): readonly string[] {
  const first = firstServer(servers);
  if (first === undefined) return [];
  const peers = servers.filter((facts) => facts !== first).map((facts) => facts.server);
  const { title, needsKillScript } = first.program;
  const old = servers
    .filter((facts) => facts.data.hasEtcd)
    .map((facts) => `${facts.server}:${placesOfOldData(facts, "<time>").aside}`);
  const fresh = servers.filter((facts) => !facts.data.hasEtcd).map((facts) => facts.server);
  const seconds = 40 + 30 * peers.length + Math.ceil(snapshot.sizeBytes / (30 * 1024 * 1024));
  return [
    `${first.server} (${title} ${first.version}) is reset to the snapshot${peers.length === 0 ? "" : `; ${peers.join(", then ")} ${peers.length === 1 ? "joins" : "join"} it as new ${peers.length === 1 ? "member" : "members"}`}.`,
    ...(fresh.length === 0 ? [] : [`No data of an old cluster on ${fresh.join(", ")}.`]),
    needsKillScript
      ? `All ${title} servers stop at once, with every container on them. Agents go on with what they run.`
      : `All ${title} servers stop at once; the containers that run go on running.`,
    "Kubernetes forgets what was created after the snapshot: Pods that it does not know any more are stopped, and what it does know is started again.",
    "The revision goes back with the data: restart what watches and was not restarted with the servers.",
    ...(old.length === 0 ? [] : [`The old data is set aside, not deleted: ${old.join(", ")}.`]),
    ...(first.tokenHash === undefined
      ? []
      : [`Certificates and token of ${first.server} are kept in ${placesOfOldData(first, "<time>").identity}.`]),
    `It takes about ${seconds} s; the API server is away until ${first.server} serves.`,
    ...advice(servers),
  ];
}

/** What is known to go wrong in these versions, once each. */
function advice(servers: readonly EmbeddedFacts[]): readonly string[] {
  const known = servers.flatMap((facts) =>
    knownProblems(facts.version)
      .filter(
        ({ severity, operations, when }) =>
          severity === "advice" && operations.includes("restore") && when === undefined,
      )
      .map(({ text, link }) => `Known of ${facts.version}: ${text} ${link}`),
  );
  return [...new Set(known)];
}
