import { distributionOf } from "../distributions";
import type { ServerFacts } from "../distributions/distribution";
import { type MemberLook, type Members, membersOf } from "../distributions/members";
import type { Cluster } from "../model";
import { type OpenAttempt, readOpenAttempt } from "../plan/journal";
import { lookOnEveryServer, type ReachedHosts } from "./reach";
import { readMarker, type RestoreMarker } from "./restore-identity";

/** What was seen of a cluster before anything is decided. */
export interface ClusterLook {
  readonly hosts: ReachedHosts;
  readonly servers: readonly ServerFacts[];
  readonly members: Members;
  /** What each member says of itself; undefined for one that does not answer. */
  readonly status: ReadonlyMap<string, MemberLook | undefined>;
  /** Whether most members know one leader. A leader that loses its quorum steps down within an election timeout, so no read has to wait for one. */
  readonly quorum: boolean;
  /** A restore that was begun here and not ended. */
  readonly open: OpenAttempt | undefined;
  /** The last restore that was completed here. */
  readonly marker: RestoreMarker | undefined;
}

/** Looks at every server and asks every member. Changes nothing; rejects when a listed server cannot be reached. */
export async function lookAtCluster(cluster: Cluster): Promise<ClusterLook> {
  const distribution = distributionOf(cluster);
  const seen = await lookOnEveryServer(cluster, async (host) => ({
    host,
    facts: await distribution.inspect(host, cluster),
  }));
  const hosts = new Map(seen.map(({ host }) => [host.name, host]));
  const servers = seen.map(({ facts }) => facts);
  const members = membersOf(cluster, servers, hosts);
  const running = servers.some((facts) => facts.running);
  const status = running ? await members.look() : new Map<string, undefined>();
  return {
    hosts,
    servers,
    members,
    status,
    quorum: knowsLeader(status) * 2 > servers.length,
    open: readOpenAttempt(servers.map((facts) => facts.journal)),
    marker: readMarker(servers.map((facts) => facts.marker)),
  };
}

/** How many members follow the leader that most follow. */
function knowsLeader(status: ReadonlyMap<string, MemberLook | undefined>): number {
  const followers = new Map<string, number>();
  for (const look of status.values()) {
    if (look !== undefined && look.leaderId !== "0")
      followers.set(look.leaderId, (followers.get(look.leaderId) ?? 0) + 1);
  }
  return Math.max(0, ...followers.values());
}
